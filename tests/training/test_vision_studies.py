"""Recipes of the published studies: they resume, and print published numbers beside ours."""

import json
import sys

import numpy as np
import pytest
from small_images import gratings

from training.vision import dimension, published
from training.vision.study import Study, run, studies, table
from vision import SimplePatch
from vision.data import save_npz


def test_a_study_resumes_and_is_a_table(tmp_path, monkeypatch):
    train, held = gratings(90), gratings(30, seed=1)
    options = {"n_patches": 20, "patch_size": 4, "pooling": 2}
    models = {str(k): SimplePatch(**options, k=k) for k in (0.2, 0.4)}
    study = Study("Neighbours", models, {"0.2": 81.25})
    found = run(study, train, held, tmp_path / "k.json")
    assert found["0.4"]["accuracy"] > 50
    monkeypatch.setattr(SimplePatch, "fit", lambda *_: pytest.fail("fitted again"))
    assert run(study, train, held, tmp_path / "k.json") == found
    lines = table(study, found).splitlines()
    assert "Neighbours" in lines[0]
    assert "| 81.2 |" in lines[2]
    assert "–" in lines[3]
    monkeypatch.undo()
    models["0.2"].set_params(patch_size=3)
    again = run(study, train, held, tmp_path / "k.json")
    assert again["0.2"]["parameters"]["patch_size"] == 3
    assert json.loads((tmp_path / "k.json").read_text())["0.4"] == found["0.4"]
    other = run(study, train, held[:10], tmp_path / "k.json")
    assert other["0.4"]["held_out"] != found["0.4"]["held_out"]


def test_every_study_says_what_was_published():
    every = studies(512, "cpu", 0)
    assert set(every) == {
        "N", "k", "epsilon", "P", "temperature", "whitening", "metric", "heads", "baselines",
    }  # fmt: skip
    for study in every.values():
        assert set(study.published) <= set(study.models)
    assert every["P"].published["6"] == 82.6
    assert every["heads"].models["hidden, N = 2048"].head == "hidden"


def test_dimensions_beside_the_published_curve(tmp_path, monkeypatch, capsys):
    save_npz(tmp_path / "data.npz", gratings(60))
    command = [
        "dimension",
        "--data",
        str(tmp_path / "data.npz"),
        "--patch",
        "6",
        "-o",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", command)
    for _ in range(2):
        dimension.main()
        out = capsys.readouterr().out.splitlines()
        assert "| 6 | raw |" in out[2]
        assert "15.8" in out[2]
        assert "44.7" in out[3]
    assert (tmp_path / "dimension.png").stat().st_size > 1000
    kept = json.loads((tmp_path / "dimension.json").read_text())
    assert len(kept) == 2
    assert published.DIMENSION[True][12] == 152.6
    assert np.isfinite([d["levina_bickel"] for d in kept.values()]).all()
