"""Training of heads: what augmentation does, resuming, and the linear form of a trained head."""

import numpy as np
import pytest
import torch

from vision import SimplePatch
from vision.patch_heads import Hidden, LowRank
from vision.scores import HiddenScores, LinearScores
from vision.sgd import Schedule, TrainingStopped, augment

OPTIONS = {"n_patches": 30, "patch_size": 4, "pooling": (3, 2), "mirror": False, "rank": 5}
SCHEDULE = {"epochs": 5, "batch_size": 32, "milestones": (2, 4), "pad": 2}


@pytest.mark.parametrize("head", ["low_rank", "hidden"])
def test_training_resumes_where_it_stopped(head, small, tmp_path):
    path = tmp_path / "checkpoint"
    options = {**OPTIONS, "head": head, "width": 6}
    whole = SimplePatch(**options, schedule=SCHEDULE).fit(small.images, small.labels)
    stopped = SimplePatch(**options, schedule=SCHEDULE, checkpoint=path, max_seconds=0.0)
    stops = 0
    while True:
        try:
            stopped.fit(small.images, small.labels)
            break
        except TrainingStopped as error:
            assert "run it again" in str(error)  # noqa: PT017
            stops += 1
            stopped.set_params(max_seconds=0.02 * stops)
            assert stops < 500
    assert stops > 1
    np.testing.assert_array_equal(
        whole.decision_function(small.images[:9]), stopped.decision_function(small.images[:9])
    )
    with pytest.raises(ValueError, match="other images or parameters"):
        SimplePatch(**options, schedule={**SCHEDULE, "epochs": 6}, checkpoint=path).fit(
            small.images, small.labels
        )


def test_wall_time_needs_a_checkpoint(small):
    with pytest.raises(ValueError, match="without a checkpoint"):
        SimplePatch(**OPTIONS, head="low_rank", max_seconds=1.0).fit(small.images, small.labels)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_devices_that_are_not_there(device, small):
    with pytest.raises(ValueError, match="give device='cpu'"):
        SimplePatch(**OPTIONS, head="low_rank", device=device).fit(small.images, small.labels)


def test_training_that_diverges_is_no_model(small, tmp_path):
    schedule = {**SCHEDULE, "learning_rate": 1e30}
    with pytest.raises(RuntimeError, match="lower learning_rate"):
        SimplePatch(**OPTIONS, head="hidden", width=4, schedule=schedule).fit(
            small.images, small.labels
        )


def test_no_momentum_no_buffers(small, tmp_path):
    options = {**OPTIONS, "head": "low_rank", "checkpoint": tmp_path / "c"}
    options["schedule"] = {**SCHEDULE, "momentum": 0.0}
    first = SimplePatch(**options).fit(small.images, small.labels)
    again = SimplePatch(**options).fit(small.images, small.labels)  # nothing left to do
    np.testing.assert_array_equal(
        first.decision_function(small.images[:5]), again.decision_function(small.images[:5])
    )
    for change in ({"metric": "mahalanobis"}, {"code": "rectified"}, {"pooling": (5, 3)}):
        with pytest.raises(ValueError, match="other images or parameters"):
            SimplePatch(**{**options, **change}).fit(small.images, small.labels)


def test_mixed_precision_is_nearly_single(small):
    scores = []
    for mixed in (False, True):
        schedule = {**SCHEDULE, "mixed_precision": mixed}
        model = SimplePatch(**OPTIONS, head="low_rank", schedule=schedule)
        scores.append(model.fit(small.images, small.labels).decision_function(small.images))
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.3


def test_a_low_rank_head_is_its_matrix():
    torch.manual_seed(0)
    head = LowRank(2 * 7, 3, 8, rank=4)
    for _ in range(5):
        head(torch.rand(16, 8, 8, 2, 7))  # moments of the batch norm
    head.eval()
    pooled = torch.rand(6, 8, 8, 2, 7)
    scores = LinearScores.of(head, (8, 8, 2, 7))
    np.testing.assert_allclose(scores(pooled), head(pooled).detach(), atol=1e-5)
    rank = np.linalg.matrix_rank(scores.weights.transpose(2, 3, 0, 1, 4).reshape(14, -1), tol=1e-5)
    assert rank == 4


def test_a_hidden_head_keeps_its_state():
    head = Hidden(2 * 7, 3, 5, width=6).eval()
    again = HiddenScores.from_arrays(HiddenScores(head).to_arrays(), (5, 5, 2, 7), 3)
    pooled = torch.rand(2, 5, 5, 2, 7)
    np.testing.assert_array_equal(again(pooled), HiddenScores(head)(pooled))
    with pytest.raises(ValueError, match="3 x 3 or more"):
        Hidden(14, 3, 2)


def test_augmented_images_are_shifts_and_mirrors():
    images = torch.randint(1, 256, (40, 9, 9, 3), dtype=torch.uint8)
    found = augment(images, 2, True, np.random.default_rng(0))
    padded = np.pad(images.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)))
    mirrored = 0
    for i, image in enumerate(found.numpy()):
        windows = [padded[i, y : y + 9, x : x + 9] for y in range(5) for x in range(5)]
        plain = any(np.array_equal(image, w) for w in windows)
        turned = any(np.array_equal(image, w[:, ::-1]) for w in windows)
        assert plain or turned
        mirrored += turned
    assert 8 < mirrored < 32
    same = augment(images, 0, False, np.random.default_rng(0))
    np.testing.assert_array_equal(same, images)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"pad": -1}, {"momentum": 1.0}],
)
def test_schedules_out_of_range(wrong):
    with pytest.raises(ValueError, match="expected at least"):
        Schedule.of(wrong)


@pytest.mark.parametrize(
    "wrong", [{"epochs": "many"}, {"milestones": 5}, {"batch_size": 2.5}, {"momentum": "x"}]
)
def test_schedules_of_other_types(wrong):
    with pytest.raises(ValueError, match="expected a value like"):
        Schedule.of(wrong)
    assert Schedule.of({"milestones": [1, 2], "momentum": 0}).momentum == 0


def test_the_generator_of_torch_stays_as_it_is(small):
    options = {"patch_size": 4, "pooling": (3, 2), "mirror": False, "head": "low_rank"}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SimplePatch(20, **options, schedule={"epochs": 1}).fit(small.images, small.labels)
    assert torch.equal(torch.rand(3), expected)
    for wrong in ({"rank": 0}, {"width": 0}):
        with pytest.raises(ValueError, match="expected 1 or more"):
            SimplePatch(20, **options, **wrong).fit(small.images, small.labels)
