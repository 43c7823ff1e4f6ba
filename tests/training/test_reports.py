"""Reports of the learned entropy: what they compute from rows, and their figures."""

from pathlib import Path

import numpy as np
import pytest

from training.defect_rows import DefectRows, Source
from training.recipes import entropy_report, extrapolation
from training.recipes.entropy_report import (
    SCHEMES,
    folds_of,
    learning_curves,
    needed,
    sections,
    unstrained,
)
from training.recipes.fe_am04_parts import ALL, MODELS
from training.report import extrapolation_plot, learning_plot

N = 400


@pytest.fixture(scope="module")
def data():
    """A law that the shipped model's features can tell, and the others cannot."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N, ALL.n_features))
    weights = np.zeros(ALL.n_features)
    weights[-3:] = (1.0, -2.0, 0.5)
    entropy = features @ weights + 0.01 * rng.normal(size=N)
    family = ["random_cluster"] * 200 + ["annealed"] * 150 + ["strained"] * 50
    group = ["I2", "V3"] * (N // 2)
    none = np.zeros(N, dtype=bool)
    source = [Source(Path("database"), "shard", k) for k in range(N)]
    return DefectRows(features, entropy, entropy, family, group, none, source)


def test_strained_rows_are_left_out_of_the_report(data):
    rows = unstrained(data)
    assert len(rows.formation_entropy) == 350
    assert set(rows.family) == {"random_cluster", "annealed"}
    np.testing.assert_array_equal(rows.features, data.features[:350])
    assert rows.source == data.source[:350]
    assert list(np.bincount(folds_of(rows, "random folds"))) == [70] * 5
    assert list(np.bincount(folds_of(rows, "families left out"))) == [150, 200]


def test_the_report_finds_the_model_that_fits(data, monkeypatch):
    for name, fewer in (("FOLDS", 2), ("REPEATS", 1), ("SIZES", 3)):
        monkeypatch.setattr(entropy_report, name, fewer)
    monkeypatch.setattr("training.regression._REFITS", 0)
    monkeypatch.delitem(MODELS, "power spectrum + pair")
    rows = unstrained(data)
    sizes, errors = learning_curves(rows)
    assert errors["Fe-AM04"][-1].mean() < 0.1 * errors["AFS (published)"][-1].mean()
    text = "\n".join(sections(rows, sizes, errors))
    for title in MODELS:
        for scheme in SCHEMES:
            assert text.count(f"| {title} | {scheme} |") == 1
    assert "## The 10 largest errors" in text
    assert "0.18 k_B" in text


@pytest.mark.parametrize(
    ("errors", "found"),
    [
        ([0.17, 0.1, 0.05], "fewer than 100"),
        ([0.36, 0.25455844, 0.18], "with 400 configurations; error ~ N^-0.50"),
        ([0.72, 0.50911688, 0.36], "not reached; by the last slope with some 2e+03"),
    ],
)
def test_configurations_needed_for_the_error_of_the_thesis(errors, found):
    assert found in needed(np.array([100.0, 200.0, 400.0]), np.array(errors))


def test_figures_are_written(tmp_path):
    exact = {"compact": np.array([20.0, 80.0]), "dispersed": np.array([30.0, 150.0])}
    predictions = {title: {k: v + 1 for k, v in exact.items()} for title in MODELS}
    extrapolation_plot(tmp_path / "e.png", exact, predictions, 25.0)
    curves = {title: np.array([[0.4, 0.5], [0.2, 0.3]]) for title in MODELS}
    learning_plot(tmp_path / "l.png", np.array([100.0, 200.0]), curves, "k_B")
    for name in ("e.png", "l.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_errors_and_std_beyond_the_training_range():
    exact = {"compact": np.array([30.0, 60.0]), "dispersed": np.array([40.0, 80.0])}
    found = {"compact": np.array([31.0, 58.0]), "dispersed": np.array([40.0, 80.5])}
    std = {"compact": np.array([1.5, 1.5]), "dispersed": np.array([0.1, 0.4])}
    text = extrapolation.section("model", found, std, exact)
    assert "| compact | 2 | 1.5 | 1.581 | 2 |" in text
    assert "| all | 4 | 0.875 |" in text
    assert "50 % within one std and 100 % within 1.96" in text


def test_each_kind_gets_its_own_predictions(data, monkeypatch):
    monkeypatch.setattr("training.regression._REFITS", 0)
    use = ~data.strained
    tests = {"one": unstrained(data), "two": data}
    predictions, std = extrapolation._tested(data, use, tests, MODELS["Fe-AM04"])
    assert [len(predictions[k]) for k in tests] == [len(std[k]) for k in tests] == [350, N]
    np.testing.assert_allclose(predictions["one"], predictions["two"][:350])
    assert np.abs(predictions["two"][350:] - data.formation_entropy[350:]).mean() < 0.1
