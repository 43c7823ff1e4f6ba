"""Classifiers: scikit-learn's interface, accuracy on gratings, evidence, files, bad input."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_estimator

from thiry_calc.linear import store
from vision import ImageKNN, PatchVoteKNN, ScatteringLinear, SimplePatch, evidence_map
from vision.data import ImageSet
from vision.evidence import explain
from vision.model_files import load_model, save_model
from vision.report import measure

QUICK = {"epochs": 15, "batch_size": 32, "learning_rate": 0.03, "milestones": (12,), "pad": 1}
TRAINED = {"patch_size": 4, "pooling": (3, 2), "mirror": False, "schedule": QUICK}
HARD = {"patch_size": 4, "temperature": 0.0, "pooling": 2}
MODELS = {
    "hard": SimplePatch(200, **HARD),
    "soft": SimplePatch(60, 4, temperature=2.0, pooling=2, penalty=(0.01, 0.1)),
    "exact": SimplePatch(61, 4, metric="mahalanobis", mirror=False, pooling=(5, 3)),
    "rectified": SimplePatch(60, 4, code="rectified", pooling=2),
    "logistic": SimplePatch(200, **HARD, head="logistic"),
    "reduced": SimplePatch(200, **HARD, head="reduced_rank", rank=2),
    "low rank": SimplePatch(60, head="low_rank", rank=8, **TRAINED),
    "hidden": SimplePatch(60, head="hidden", width=20, **TRAINED),
    "scattering": ScatteringLinear(2, L=4),
    "scattering, pooled": ScatteringLinear(
        1, L=4, pooling=2, color="yuv", mirror=True, loss="squares", penalty=(1e-3, 1e-2)
    ),
    "votes": PatchVoteKNN(5, n_reference=3000),
    "images": ImageKNN(3),
    "raw images": ImageKNN(3, normalize=False),
}  # fmt: skip
LOCAL = [name for name in MODELS if "images" not in name]


@pytest.fixture(scope="module")
def fitted(small):
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = clone(MODELS[name]).fit(small.images, small.labels)
        return kept[name]

    return get


@pytest.mark.parametrize("name", MODELS)
def test_gratings_are_told_apart(name, fitted, fresh):
    least = 0.5 if name == "raw images" else 0.85
    assert fitted(name).score(fresh.images, fresh.labels) > least


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_repeated_gives_the_same_numbers(name, fitted, small, fresh):
    again = clone(MODELS[name]).fit(small.images, small.labels)
    np.testing.assert_array_equal(
        again.decision_function(fresh.images), fitted(name).decision_function(fresh.images)
    )


@pytest.mark.parametrize("name", LOCAL)
def test_evidence_sums_to_the_score(name, fitted, fresh):
    model = fitted(name)
    for image in fresh.images[:3]:
        scores = model.decision_function(image[None])[0]
        for column, label in enumerate(model.classes_):
            assert evidence_map(model, image, label).sum() == pytest.approx(
                scores[column], abs=1e-5
            )
    found = explain(model, fresh.images[0])
    assert found.label == model.predict(fresh.images[:1])[0]
    assert found.pixels.shape == (14, 14)
    assert found.pixels.sum() == pytest.approx(found.score, abs=1e-5)


@pytest.mark.parametrize("name", LOCAL)
def test_evidence_is_local(name, fitted, fresh):
    """A change of one corner changes the evidence near it only."""
    model = fitted(name)
    image = fresh.images[0].copy()
    before = [evidence_map(model, image, c) for c in model.classes_]
    image[:2, :2] = np.random.default_rng(0).integers(0, 256, (2, 2, 3))
    after = [evidence_map(model, image, c) for c in model.classes_]
    change = np.abs(np.subtract(after, before)).max(0)
    (rows, _), (columns, _) = model.windows()
    assert change.shape == (len(rows), len(columns))
    reach = int((rows < 2 + (6 if "scattering" in name else 0)).sum())
    tail = 1e-3 if "scattering" in name else 1e-6  # wavelets have tails
    assert change[:reach, :reach].max() > 0
    assert change[reach:, reach:].max(initial=0) < tail


@pytest.mark.parametrize("name", ["hard", "soft", "scattering, pooled"])
def test_mirror_images_score_alike(name, fitted, fresh):
    model = fitted(name)
    a, b = (model.decision_function(x) for x in (fresh.images, fresh.images[:, :, ::-1]))
    # a grid of scattering coefficients is not its own mirror image: learned, not exact
    assert np.abs(a - b).max() < (0.5 if "scattering" in name else 1e-4)


def test_mirrors_by_folding_are_mirrors_by_data(small, fresh):
    """Half the features give what twice the images give."""
    options = {"n_patches": 40, "patch_size": 4, "pooling": 2}
    folded = SimplePatch(**options, penalty=0.05).fit(small.images, small.labels)
    both = np.concatenate([small.images, small.images[:, :, ::-1]])
    model = SimplePatch(**options, mirror=False)
    model.dictionary_, model.image_shape_ = folded.dictionary_, folded.image_shape_
    model.classes_ = folded.classes_
    model._prepare()
    X = model.code_.pooled(torch.from_numpy(both), model.cells_).numpy()
    X = X.reshape(len(both), -1)
    deviation = folded._fold(X.reshape(len(both), 2, 2, 2, 40))[: len(small)]
    scale = deviation.reshape(len(small), -1).std(0)
    scale = np.maximum(scale, 0.1 * np.median(scale)).reshape(2, 2, 2, 20)
    wide = np.concatenate([scale, scale[:, ::-1]], -1).ravel()
    # a folded weight is used by both copies: its penalty is twice that of each of them
    theirs = Ridge(0.05 * len(both) / 2).fit(X / wide, np.eye(3)[np.r_[small.labels, small.labels]])
    Y = model.code_.pooled(torch.from_numpy(fresh.images), model.cells_).numpy()
    expected = theirs.predict(Y.reshape(len(fresh), -1) / wide)
    np.testing.assert_allclose(folded.decision_function(fresh.images), expected, atol=5e-3)


@pytest.mark.parametrize("name", MODELS)
def test_files_keep_everything(name, fitted, fresh, tmp_path):
    model = fitted(name)
    save_model(tmp_path / "m.vision", model, {"class_names": ("a", "b", "c")})
    loaded, info = load_model(tmp_path / "m.vision")
    assert info["class_names"] == ["a", "b", "c"]
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(
        loaded.decision_function(fresh.images[:5]), model.decision_function(fresh.images[:5])
    )
    if name in LOCAL:
        np.testing.assert_array_equal(
            evidence_map(loaded, fresh.images[0], 2), evidence_map(model, fresh.images[0], 2)
        )


def test_damaged_and_foreign_files(fitted, tmp_path):
    path = tmp_path / "m.vision"
    save_model(path, fitted("hard"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"not a complete|damaged"):
        load_model(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="not a complete"):
        load_model(path)


@pytest.mark.parametrize("name", ["hard", "hidden", "scattering", "votes"])
def test_evidence_of_tall_pictures_keeps_its_sum(name):
    tall = np.random.default_rng(0).integers(0, 256, (30, 30, 12, 3), dtype=np.uint8)
    model = clone(MODELS[name])
    if name == "hidden":
        model.set_params(pooling=5)
    found = explain(model.fit(tall, np.arange(30) % 3), tall[0])
    assert found.pixels.shape == (30, 12)
    assert found.pixels.sum() == pytest.approx(found.score, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("hard", lambda a: a.update(bias=a["bias"][:1])),
        ("hard", lambda a: a.update(kernel=a["kernel"][:, :5])),
        ("hard", lambda a: a.update(weights=a["weights"] * np.nan)),
        ("hard", lambda a: a.update(weights=a["weights"][:1])),
        ("hard", lambda a: a.pop("bias")),
        ("hard", lambda a: a.update(kernel=a["kernel"].astype(float))),
        ("hard", lambda a: a.update(scale=0 * a["scale"])),
        ("hard", lambda a: a.update(intercept=a["intercept"][:1], weights=a["weights"][..., :1])),
        ("hard", lambda a: a.update(intercept=a["intercept"][:, None])),
        ("hard", lambda a: a.update(classes=a["classes"][:2])),
        ("hard", lambda a: a.update(classes=a["classes"] * 0)),
        ("hidden", lambda a: a.update({"head.classify.bias": a["head.classify.bias"][:1]})),
        ("scattering", lambda a: a.update(weights=a["weights"][:1])),
        ("votes", lambda a: a.update(labels=a["labels"] + 50)),
        ("votes", lambda a: a.update(labels=a["labels"].astype(float))),
        ("votes", lambda a: a.update(matrix=a["matrix"][:, :4])),
        ("votes", lambda a: a.update(reference=a["reference"][:, :4])),
        ("images", lambda a: a.update(labels=a["labels"] - 5)),
        ("images", lambda a: a.update(labels=a["labels"][:3])),
    ],
)
def test_parts_that_do_not_fit_together(name, change, fitted, tmp_path):
    path = tmp_path / "m.vision"
    save_model(path, fitted(name))
    header, arrays = store.load(path, "image classifier")
    change(arrays)
    store.save(path, header, arrays, "image classifier", 1)
    with pytest.raises(ValueError, match=r"fit|finite|shape|dictionary|classes"):
        load_model(path)


def test_headers_that_do_not_fit(fitted, tmp_path):
    path = tmp_path / "m.vision"
    save_model(path, fitted("images"))
    header, arrays = store.load(path, "image classifier")
    for change in ({"parameters": {"deep": 1}}, {"type": "Net"}, {"info": [1]}):
        store.save(path, {**header, **change}, arrays, "image classifier", 1)
        with pytest.raises(ValueError, match=r"fit together|unknown"):
            load_model(path)
    for change, message in (
        ({"parameters": {**header["parameters"], "n_neighbors": 0}}, "give a number from 1"),
        ({"parameters": {**header["parameters"], "n_neighbors": 10**10}}, "give a number from 1"),
        ({"image_shape": [14, 14]}, "three lengths"),
        ({"image_shape": [28, 7, 3]}, "expected"),
        ({"info": {"class_names": 5}}, "list of names"),
    ):
        store.save(path, {**header, **change}, arrays, "image classifier", 1)
        with pytest.raises(ValueError, match=message):
            load_model(path)
    save_model(path, fitted("votes"))
    header, arrays = store.load(path, "image classifier")
    store.save(
        path, {**header, "parameters": {**header["parameters"], "stride": 0}}, arrays,
        "image classifier", 1,
    )  # fmt: skip
    with pytest.raises(ValueError, match="stride 0"):
        load_model(path)
    with pytest.raises(ValueError, match="not fitted"):
        save_model(path, SimplePatch())
    with pytest.raises(ValueError, match="list of names"):
        save_model(path, fitted("images"), {"class_names": {0: "a"}})


def test_a_failed_fit_leaves_no_model(small):
    model = SimplePatch(20, **HARD).fit(small.images, small.labels)
    with pytest.raises(ValueError, match="penalty"):
        model.set_params(penalty=-1).fit(small.images, small.labels + 5)
    with pytest.raises(NotFittedError):
        model.predict(small.images)
    with pytest.raises(ValueError, match="not fitted"):
        save_model("m.vision", model)


@pytest.mark.parametrize("name", ["hard", "votes"])
def test_two_classes_have_scikit_learns_scores(name, small):
    two = small[small.labels < 2]
    model = clone(MODELS[name]).fit(two.images, two.labels)
    scores = model.class_scores(two.images)
    assert scores.shape == (len(two), 2)
    np.testing.assert_array_equal(model.decision_function(two.images), scores[:, 1] - scores[:, 0])
    ranked = cross_val_score(clone(MODELS[name]), two.images, two.labels, cv=2, scoring="roc_auc")
    assert (ranked > 0.8).all()


def test_labels_in_words_are_measured_by_name(small, fresh):
    names = ("flat", "steep", "oblique")
    model = ImageKNN(3).fit(small.images, np.array(names)[small.labels])
    found = measure(model, ImageSet(fresh.images, fresh.labels, names))
    assert found["accuracy"] == model.score(fresh.images, np.array(names)[fresh.labels])
    with pytest.raises(ValueError, match="knows none of the labels"):
        measure(model, ImageSet(fresh.images, fresh.labels, ("a", "b", "c")))


@pytest.mark.parametrize("name", MODELS)
def test_labels_may_be_words(name, small):
    words = np.array(["flat", "steep", "oblique"])[small.labels]
    model = clone(MODELS[name]).fit(small.images[:60], words[:60])
    assert set(model.predict(small.images[:6])) <= {"flat", "steep", "oblique"}
    assert list(model.classes_) == ["flat", "oblique", "steep"]


@pytest.mark.parametrize("model", [SimplePatch(), ScatteringLinear(), ImageKNN(), PatchVoteKNN()])
def test_estimators_pass_the_checks_that_apply(model):
    with pytest.warns(UserWarning, match="Can't test estimator"):
        check_estimator(model)


@pytest.mark.parametrize("name", ["hard", "scattering", "votes", "images"])
def test_bad_input_is_refused(name, fitted, small):
    X, y = small.images, small.labels
    model = clone(MODELS[name])
    with pytest.raises(ValueError, match="one class"):
        model.fit(X, np.zeros(150, int))
    with pytest.raises(ValueError, match="more images than classes"):
        model.fit(X[:3], y[:3])
    with pytest.raises(ValueError, match=r"expected \(150,\)"):
        model.fit(X, y[:10])
    with pytest.raises(ValueError, match="uint8"):
        model.fit(X / 255.0, y)
    with pytest.raises(ValueError, match="expected"):
        model.fit(X.reshape(150, -1), y)
    with pytest.raises(ValueError, match="continuous"):
        model.fit(X, y + 0.5)
    with pytest.raises(ValueError, match=r"\(14, 14, 1\)"):
        fitted(name).predict(X[:2, ..., :1])
    with pytest.raises(ValueError, match="not known"):
        fitted(name).column_of(7)
    if name == "images":
        with pytest.raises(ValueError, match="whole images"):
            evidence_map(fitted(name), X[0], 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"k": 0.0}, "fraction"), ({"k": 1.0}, "fraction"), ({"head": "deep"}, "head"),
        ({"patch_size": 15}, "do not fit"), ({"pooling": 0}, "pooling"), ({"n_patches": 7}, "even"),
        ({"pooling": (5, 4)}, "symmetric"), ({"penalty": -1.0}, "penalty"),
        ({"metric": "angle"}, "metric"), ({"code": "sparse"}, "code"),
        ({"schedule": {"epoch": 3}}, "did you mean 'epochs'"),
    ],
)  # fmt: skip
def test_parameters_out_of_range(options, match, small):
    with pytest.raises(ValueError, match=match):
        SimplePatch(**{"n_patches": 20, "patch_size": 4, "pooling": 2, **options}).fit(
            small.images, small.labels
        )


def test_telling_patches_are_the_weights(fitted, small):
    model = fitted("hard")
    patches, weights = model.telling_patches(1, 5)
    assert patches.shape == (5, 4, 4, 3)
    assert (np.diff(weights) <= 0).all()
    near = model.scores_.weights[:, :, 0, :, 1].sum((0, 1))
    assert weights[0] == pytest.approx(near.max(), rel=1e-5)
    with pytest.raises(ValueError, match="hidden layer"):
        fitted("hidden").telling_patches(1)


def test_approximate_neighbours_vote_nearly_alike(small, fresh):
    pytest.importorskip("faiss")
    exact = PatchVoteKNN(5, n_reference=2000).fit(small.images, small.labels)
    quick = PatchVoteKNN(5, n_reference=2000, index="ivf").fit(small.images, small.labels)
    a, b = exact.decision_function(fresh.images), quick.decision_function(fresh.images)
    assert np.abs(a - b).mean() < 0.1
    many = PatchVoteKNN(5, n_reference=2000, n_neighbors=1900)
    votes = [
        m.fit(small.images, small.labels).decision_function(fresh.images[:3])
        for m in (many, clone(many).set_params(index="ivf"))
    ]
    np.testing.assert_allclose(*votes, atol=1e-9)  # more than the lists searched hold
    with pytest.raises(ValueError, match="stride 0"):
        PatchVoteKNN(5, stride=0).fit(small.images, small.labels)
    with pytest.raises(ValueError, match="'exact' or 'ivf'"):
        PatchVoteKNN(5, index="tree").fit(small.images, small.labels)


def test_neighbours_are_those_of_scikit_learn(small, fresh):
    theirs = KNeighborsClassifier(1).fit(small.images.reshape(150, -1) / 255, small.labels)
    ours = ImageKNN(1, normalize=False).fit(small.images, small.labels)
    np.testing.assert_array_equal(
        ours.predict(fresh.images), theirs.predict(fresh.images.reshape(60, -1) / 255)
    )
    with pytest.raises(ValueError, match="neighbors asked"):
        ImageKNN(151).fit(small.images, small.labels)
