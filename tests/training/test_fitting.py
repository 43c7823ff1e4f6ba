"""From files to a model file."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

import training
from thiry_calc import ThiryCalculator
from thiry_calc.cli import main
from training.executors import make_executor
from training.fitting import fit

CONFIG = """
[data]
train = ["*.xyz"]
train_select = {split = "train"}
test_select = {split = "test"}
[model]
preset = "fast"
r_cut = 4.5
[weights.group.vacancy]
force = 2.0
[output]
model = "%s"
"""


def _frames(n, seed):
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        atoms = bulk("Cu", "fcc", 3.6, cubic=True) * (2, 2, 1)
        if k % 2:
            del atoms[0]
        atoms.positions += 0.1 * rng.normal(size=(len(atoms), 3))
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        atoms.info = {"config_type": "vacancy" if k % 2 else "bulk"}
        out.append(atoms)
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    train, test = _frames(30, seed=0), _frames(6, seed=1)
    for frames, split in ((train, "train"), ([*test, train[0].copy()], "test")):
        for atoms in frames:
            atoms.info["split"] = split
    write(folder / "all.xyz", [*train, *test], format="extxyz")
    (folder / "fit.toml").write_text(CONFIG % (folder / "Cu.thiry"))
    return folder


def test_the_command_writes_a_model_that_works(files, capsys):
    assert main(["fit", str(files / "fit.toml"), "--workers", "0", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["training_structures"] == 30
    assert card["test"]["n_structures"] == 6
    assert card["test"]["force_mae_eV_per_A"] < 0.05
    assert card["test"]["energy_mae_eV_per_atom"] < 0.005
    assert card["reference_energies"] == "fit"
    assert sorted(p.name for p in files.iterdir()) == ["Cu.thiry", "all.xyz", "fit.toml"]
    atoms = read(files / "all.xyz", index=0)
    exact = atoms.get_forces()
    atoms.calc = ThiryCalculator(str(files / "Cu.thiry"))
    assert np.abs(atoms.get_forces() - exact).mean() < 0.05
    assert atoms.calc.get_property("energy_std", atoms) > 0
    assert main(["fit", str(files / "fit.toml"), "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "<- chosen" in printed
    assert "test, forces (eV/Å)" in printed


def test_one_line_of_python(files):
    assert training.fit is fit
    frames = read(files / "all.xyz", index=":")
    result = fit(frames, preset="fast", r_cut=4.5, weights={"energy": 30.0, "stress": 3.0})
    assert result.test.n_structures == 4  # the last tenth of two groups of 18
    assert result.energy.best.factors == {"energy": 30.0, "forces": 1.0, "stress": 3.0}
    assert result.leaked == 0


def test_copies_between_training_and_test_are_reported(files):
    frames = read(files / "all.xyz", index=":")
    turned = frames[3].copy()
    turned.calc = None
    turned.info |= {"energy": frames[3].get_potential_energy()}
    turned.rotate(90, "z", rotate_cell=True)
    result = fit(frames[:20], test=[*frames[20:25], turned], preset="fast", r_cut=4.5)
    assert result.leaked == 1
    assert result.without_leaks.n_structures == 5
    assert result.potential.info["test_structures_copied_from_training"] == 1


def test_a_killed_fit_resumes_and_workers_do_not_matter(files, monkeypatch):
    options = {"train_select": {"split": "train"}, "preset": "fast", "r_cut": 4.5}
    monkeypatch.setattr("training.rows._SHARD_ATOMS", 60)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.energy_fit.weigh", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(files / "all.xyz", files / "again.thiry", **options)
    rows = files / ".again.thiry.rows"
    shards = len(list(rows.glob("*.npz")))
    assert shards > 4
    with monkeypatch.context() as patch:
        patch.setattr("training.energy_fit.check_units", lambda *_: None)
        patch.setattr("training.rows.RowMaker.statistics", None)  # must not be called
        first = fit(files / "all.xyz", files / "again.thiry", **options)
    assert not rows.exists()
    with make_executor(2) as executor:
        second = fit(files / "all.xyz", executor=executor, **options)
    (files / "again.thiry").unlink()
    a, b = (r.potential.target("energy").model for r in (first, second))
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"slab": {"force": 2.0}}}, "group 'slab', which has no structure; groups are"),
        ({"weights": {"stress": 1.0}}, "a weight of stress needs one of energy"),
        ({"weights": {"force": 0.0}}, "the weight of forces is 0"),
        ({"preset": "best"}, "unknown preset 'best'"),
    ],
)
def test_mistakes_are_named(files, options, message):
    with pytest.raises(ValueError, match=message):
        fit(files / "all.xyz", r_cut=4.5, **options)


def test_a_model_that_could_not_be_written(files):
    with pytest.raises(ValueError, match="no folder"):
        fit(files / "all.xyz", files / "nowhere" / "Cu.thiry")
