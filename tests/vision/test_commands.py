"""The command line: train, evaluate, predict, explain, dimension, as a user types them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vision.cli
from vision.cli import main
from vision.commands.explain import _label
from vision.data import load_images, save_npz
from vision.model_files import load_model

SMALL = ["--set", "n_patches=100", "--set", "patch_size=4", "--set", "pooling=2"]


@pytest.fixture(scope="module")
def files(tmp_path_factory, small, fresh):
    folder = tmp_path_factory.mktemp("vision")
    save_npz(folder / "train.npz", small)
    save_npz(folder / "test.npz", fresh)
    Image.fromarray(fresh.images[4]).save(folder / "steep.png")
    assert main(["train", str(folder / "train.npz"), "-o", str(folder / "m.vision"), *SMALL]) == 0
    return folder


def _json(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "explain", "dimension"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  thiry-vision {command}" in out
    assert "--json" in out


def test_evaluate(files, capsys):
    result = _json(capsys, "evaluate", files / "m.vision", files / "test.npz")
    assert set(result) == {"accuracy", "top5", "n", "per_class"}
    assert result["n"] == 60
    assert result["accuracy"] > 0.85
    assert result["top5"] == 1.0
    assert set(result["per_class"]) == {"flat", "steep", "oblique"}
    assert np.mean(list(result["per_class"].values())) == pytest.approx(result["accuracy"])
    assert main(["evaluate", str(files / "m.vision"), str(files / "test.npz")]) == 0
    assert "60 images: accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["simplepatch", "scattering", "knn"])
def test_train_holds_out_and_is_reproducible(model, files, capsys, tmp_path):
    options = SMALL if model == "simplepatch" else []
    results = [
        _json(
            capsys, "train", files / "train.npz", "--model", model, "-o", tmp_path / name,
            "--held-out", "30", "--seed", "3", *options,
        )
        for name in ("a.vision", "b.vision")
    ]  # fmt: skip
    assert results[0]["n_images"] == 120
    assert results[0]["held_out"]["accuracy"] > 0.8
    first, second = (
        np.load(tmp_path / name, allow_pickle=False) for name in ("a.vision", "b.vision")
    )
    for array in set(first.files) - {"header.json"}:
        np.testing.assert_array_equal(first[array], second[array])


def test_train_checks_before_it_works(files, capsys, tmp_path):
    def fails(*arguments, status=2):
        assert main(["train", str(files / "train.npz"), *map(str, arguments)]) == status
        error = capsys.readouterr().err
        assert error.count("error") == 1
        return error

    assert "no folder" in fails("-o", tmp_path / "absent" / "m")
    assert "no preset 'gpu-2k'" in fails(
        "--model", "knn", "--preset", "gpu-2k", "-o", tmp_path / "m"
    )
    wrong = fails("-o", tmp_path / "m", "--set", "n_patch=3")
    assert "did you mean 'n_patches'" in wrong
    assert "NAME=VALUE" in fails("-o", tmp_path / "m", "--set", "whiten")
    assert "true or false" in fails("-o", tmp_path / "m", "--set", "whiten=no")
    assert "whole number" in fails("-o", tmp_path / "m", "--set", "n_patches=6.0")
    assert "another type" in fails("-o", tmp_path / "m", "--set", "schedule=5")
    for wrong in ("rank=abc", "rank=1.5", "max_seconds=Infinity", "cache=5", "penalty=[1, NaN]"):
        assert "expected" in fails("-o", tmp_path / "m", "--set", wrong)
    assert "a value like" in fails(
        "-o", tmp_path / "m", *SMALL, "--set", 'schedule={"epochs": "many"}'
    )
    assert "is the data" in fails("-o", files / "train.npz")
    assert "SHA-256" in fails("-o", tmp_path / "m", "--sha256", "ab")
    assert not list(tmp_path.iterdir())


def test_booleans_in_any_case(files, capsys, tmp_path):
    models = []
    for word in ("False", "false"):
        arguments = ["-o", tmp_path / f"{word}.vision", *SMALL, "--set", f"mirror={word}"]
        _json(capsys, "train", files / "train.npz", *arguments)
        models.append(load_model(tmp_path / f"{word}.vision")[0])
    assert [m.mirror for m in models] == [False, False]


def test_classes_are_compared_by_name(files, capsys, tmp_path):
    """Folders of fewer classes number them otherwise."""
    test = load_images(files / "test.npz")
    for name in ("steep", "oblique"):
        (tmp_path / name).mkdir()
        for i in np.flatnonzero(test.labels == test.class_names.index(name))[:8]:
            Image.fromarray(test.images[i]).save(tmp_path / name / f"{i}.png")
    result = _json(capsys, "evaluate", files / "m.vision", tmp_path)
    assert set(result["per_class"]) == {"steep", "oblique"}
    assert result["accuracy"] > 0.8
    (tmp_path / "steep").rename(tmp_path / "round")
    result = _json(capsys, "evaluate", files / "m.vision", tmp_path)
    assert result["per_class"]["round"] == 0.0


def test_sorted_data_are_held_out_at_random(files, capsys, tmp_path):
    data = load_images(files / "train.npz")
    order = np.argsort(-data.labels, kind="stable")  # the last class first
    save_npz(tmp_path / "sorted.npz", data[order])
    arguments = ["-o", tmp_path / "m.vision", "--held-out", "30", *SMALL]
    result = _json(capsys, "train", tmp_path / "sorted.npz", *arguments)
    assert len(result["held_out"]["per_class"]) == 3
    assert result["held_out"]["accuracy"] > 0.7


def test_predict(files, capsys):
    result = _json(capsys, "predict", files / "m.vision", files / "steep.png", "--top", "2")
    best, second = result["predictions"][0]
    assert best["class"] == "steep"
    assert best["score"] > second["score"]
    assert main(["predict", str(files / "m.vision"), str(files / "steep.png")]) == 0
    assert "steep" in capsys.readouterr().out


def test_explain_draws_what_sums_to_the_score(files, capsys, tmp_path):
    heat = tmp_path / "heat.png"
    result = _json(
        capsys, "explain", files / "m.vision", files / "steep.png", "-o", heat,
        "--class", "flat", "--class", "1",
    )  # fmt: skip
    assert [c["class"] for c in result["classes"]] == ["flat", "steep"]
    for c in result["classes"]:
        assert c["sum"] == pytest.approx(c["score"], abs=1e-5)
    assert Image.open(heat).size[0] > 300
    result = _json(capsys, "explain", files / "m.vision", files / "steep.png", "-o", heat)
    assert result["classes"][0]["class"] == "steep"
    status = main(
        [
            "explain",
            str(files / "m.vision"),
            str(files / "steep.png"),
            "-o",
            str(heat),
            "--class",
            "x",
        ]
    )
    assert status == 2
    assert "no class 'x'" in capsys.readouterr().err
    assert _label("2", ["0", "1", "10", "2"], [0, 1, 2, 3]) == 3  # a name before a number


def test_gallery(files, capsys, tmp_path):
    path = tmp_path / "gallery.png"
    result = _json(capsys, "explain", files / "m.vision", "-o", path, "--count", "5")
    assert [len(c["weights"]) for c in result["classes"]] == [5, 5, 5]
    assert path.stat().st_size > 1000


def test_dimension(files, capsys, tmp_path):
    result = _json(
        capsys, "dimension", files / "train.npz", "--patch", "3", "--whiten",
        "--neighbors", "50", "--centers", "40", "--plot", tmp_path / "k.png",
    )  # fmt: skip
    assert {"covariance", "levina_bickel", "patch", "whitened", "n_reference_patches"} <= set(
        result
    )
    assert (result["patch"], result["whitened"]) == (3, True)
    assert result["n_reference_patches"] == 150 * 144
    curve = _json(
        capsys, "dimension", files / "train.npz", "--patch", "2", "3",
        "--neighbors", "20", "--centers", "20", "--plot", tmp_path / "P.png",
    )  # fmt: skip
    assert [d["patch"] for d in curve["patches"]] == [2, 3]
    assert (tmp_path / "k.png").stat().st_size > 1000
    assert (tmp_path / "P.png").stat().st_size > 1000


def test_missing_libraries_are_named(monkeypatch, capsys):
    monkeypatch.setattr(vision.cli, "find_spec", lambda name: None if name == "torch" else True)
    assert main(["evaluate", "a", "b"]) == 1
    assert "torch not installed; pip install 'thiry_calc[vision]'" in capsys.readouterr().err


def test_the_package_is_lazy_and_the_runtime_free_of_torch():
    code = (
        "import sys; import vision; assert 'torch' not in sys.modules;"
        "import thiry_calc.calculator, thiry_calc.scan, training;"
        "assert not {'torch', 'vision.knn'} & set(sys.modules);"
        "from vision import *; print('ok')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "ok"


def test_the_shipped_model_explains_by_name(capsys, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", images=image)
    heat = tmp_path / "heat.png"
    arguments = [
        "explain",
        "cifar10-simplepatch",
        tmp_path / "one.npz",
        "-o",
        heat,
        "--class",
        "cat",
    ]
    (found,) = _json(capsys, *arguments)["classes"]
    assert found["class"] == "cat"
    assert found["sum"] == pytest.approx(found["score"], abs=1e-5)
