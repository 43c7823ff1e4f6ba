"""The configuration of a fit, and what presets make of data."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from thiry_calc.descriptors import ACE, Pair
from training.fit_config import read_fit_config
from training.presets import PRESETS, candidates, cluster_expansion, nearest_distance

WHOLE = """
[data]
train = ["data/*.xyz.xz"]
test = ["test.xyz"]
train_select = {split = "train", config_type = ["bulk", "slab"]}
keys = {energy = "REF_energy"}
[model]
r_cut = 5.0
e0 = {Fe = -3455.6995339}
zbl = [0.8, 1.6]
n_functions = 300
[[model.descriptor]]
type = "ace"
r_cut = 5.0
degrees = [8, 6]
[[model.descriptor]]
type = "pair"
r_cut = 6.0
n_max = 8
[weights]
energy = 30
entropy = 2
[weights.group.liquid]
force = 0.5
entropy = 0
[output]
model = "Mo.thiry"
report = "report"
"""


def _read(tmp_path, contents):
    path = tmp_path / "fit.toml"
    path.write_text(contents)
    return read_fit_config(path)


def test_everything_that_can_be_said(tmp_path):
    config = _read(tmp_path, WHOLE)
    assert config.folder == tmp_path
    assert config.train == ("data/*.xyz.xz",)
    assert config.train_select == {"split": "train", "config_type": ["bulk", "slab"]}
    assert config.preset is None
    assert config.descriptors == (ACE(5.0, (8, 6)), Pair(6.0, 8))
    assert config.zbl == (0.8, 1.6)
    assert config.n_functions == 300
    assert config.e0 == {"Fe": -3455.6995339}
    assert config.weights == {"energy": 30.0, "entropy": 2.0}
    assert config.groups["liquid"]["force"] == 0.5
    assert config.groups["liquid"]["energy"] == 1.0
    assert config.groups["liquid"]["entropy"] == 0.0
    assert str(config.model) == "Mo.thiry"
    assert str(config.report) == "report"


def test_the_least_that_must_be_said(tmp_path):
    config = _read(tmp_path, '[data]\ntrain = ["a.xyz"]\n[output]\nmodel = "a.thiry"\n')
    assert config.preset == "accurate"
    assert config.zbl is False
    assert config.report is None
    assert (config.r_cut, config.e0) == (None, None)
    assert config.weights == config.groups == config.test_select == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[data]", "[data]\ntest_selct = {}", "unknown key 'test_selct' in .data.; did you mean"),
        ('model = "Mo.thiry"', "", r"\[output\] lacks the key 'model'"),
        ("keys = {energy", "keys = {enrgy", "'enrgy' in 'keys' in .data.; did you mean 'energy'"),
        ('type = "ace"', 'type = "soap"', "item 1 of 'descriptor' in .model.: unknown desc"),
        ("degrees = [8, 6]", "degree = 8", "item 1 .*no key 'degree'; did you mean 'degrees'"),
        ("r_cut = 5.0\ne0", 'preset = "fast"\ne0', "has a preset and descriptors"),
        ("e0 = {Fe = -3455.6995339}", 'e0 = "free"', "'e0' in .model. is 'free'"),
        ("zbl = [0.8, 1.6]", "zbl = [1.6, 0.8]", "expected true, false, or two radii"),
        ("force = 0.5", "force = -1", "'force' in .*liquid.* is -1; expected 0 or more"),
        ("energy = 30", "enrgy = 30", "unknown key 'enrgy' in .weights."),
        ('split = "train"', "split = []", "expected a string or number"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, message):
    assert WHOLE.count(old) == 1
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, WHOLE.replace(old, new))


def test_cutoffs_follow_the_distance_of_neighbours():
    cells = [bulk("Mo", "bcc", 3.16, cubic=True) * (2, 2, 2) for _ in range(3)]
    unit = 3.16 * np.sqrt(3) / 2
    assert nearest_distance(cells) == pytest.approx(unit)
    tried = candidates("accurate", cells, ("Mo",), None)
    assert [d.r_cut for d in tried] == [round(unit * c, 2) for c in PRESETS["accurate"].cutoffs]
    assert [d.r_cut for d in candidates("fast", cells, ("Mo",), 4.2)] == [4.2]
    with pytest.raises(ValueError, match="no two atoms are within"):
        candidates("fast", [Atoms("Mo", cell=[20] * 3, pbc=True)], ("Mo",), None)
    with pytest.raises(ValueError, match="unknown preset 'best'"):
        candidates("best", cells, ("Mo",), None)


@pytest.mark.parametrize("elements", [("Mo",), ("Al", "Ni")])
def test_as_many_functions_as_are_allowed(elements):
    descriptor = cluster_expansion(200, 5.0, elements)
    larger = tuple(d + 1 for d in descriptor.degrees)
    assert descriptor.n_features <= 200 * len(elements)
    assert ACE(5.0, larger, elements=descriptor.elements).n_features > 200 * len(elements)
    with pytest.raises(ValueError, match="too few"):
        cluster_expansion(1, 5.0, elements)


@pytest.mark.parametrize(("count", "order"), [(3, 3), (5, 2), (8, 1)])
def test_many_elements_have_shorter_products(count, order):
    elements = ("Ag", "Al", "Au", "Cr", "Cu", "Fe", "Ni", "Pt")[:count]
    descriptor = cluster_expansion(200, 5.0, elements)
    assert len(descriptor.degrees) == order
    assert descriptor.n_features <= 200 * count
