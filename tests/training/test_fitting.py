"""From files to a model file."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from scipy.sparse import csr_array

import training
from thiry_calc import Potential, ThiryCalculator
from thiry_calc.cli import main
from thiry_calc.crystals import crystal_of_box
from thiry_calc.defects import supercell
from thiry_calc.references import load_reference
from thiry_calc.relax import relax
from training.crystal import hbar_omega
from training.executors import make_executor
from training.fitting import fit
from training.label import bulk_reference, label
from training.references.am04 import AM04
from training.references.am04 import LATTICE_CONSTANT as AM04_A0

CONFIG = """
[data]
train = "*.xyz"
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


RECIPE = """
[reference]
potential = "fitted"
file = "Fe.thiry"
[cells]
lattice = "bcc"
sizes = [4]
[[family]]
kind = "random_cluster"
vacancies = [5, 5]
interstitials = [0, 0]
radius = [4.0, 5.0]
count = 1
[output]
folder = "%s"
seed = 1
"""


class Bulk(EMT):
    """EMT with the rows of the Hessian that belong to the first atom."""

    def get_hessian(self, atoms):
        rows = []
        for axis in range(3):
            forces = []
            for step in (1e-3, -1e-3):
                moved = atoms.copy()
                moved.positions[0, axis] += step
                moved.calc = EMT()
                forces.append(moved.get_forces().ravel())
            rows.append((forces[1] - forces[0]) / 2e-3)
        return csr_array(np.array(rows))


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
    assert "test:\nenergy (meV/atom)\n" in printed


def test_a_fitted_potential_knows_its_crystal(files, tmp_path):
    model = tmp_path / "Cu.thiry"
    fit(files / "all.xyz", model, preset="fast", r_cut=4.5)
    crystal = Potential.load(model).crystal
    assert (crystal.lattice, list(crystal.hbar_omega)) == ("fcc", ["Cu"])
    assert crystal.a0 == pytest.approx(3.59, abs=0.02)
    exact = hbar_omega(crystal_of_box(supercell(3.59, 6, "Cu", "fcc"), "fcc", 3.59, "Cu"), Bulk())
    assert crystal.hbar_omega["Cu"] == pytest.approx(exact, rel=0.05)


def test_entropies_of_a_fitted_potential(tmp_path, capsys):
    """Iron of AM04 learned from few structures: its vacancy, from its own Hessian."""
    rng = np.random.default_rng(0)
    frames = []
    for k in range(30):
        atoms = supercell(AM04_A0, 3)
        strain = 0.02 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        del atoms[: k % 3]
        atoms.positions += 0.03 * (1 + k % 4) * rng.normal(size=(len(atoms), 3))
        atoms.calc = AM04()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    fit(frames, tmp_path / "Fe.thiry", preset="fast", r_cut=4.5)
    assert load_reference("fitted", tmp_path / "Fe.thiry").lattice_constant == pytest.approx(
        AM04_A0, abs=0.005
    )
    (tmp_path / "recipe.toml").write_text(RECIPE % (tmp_path / "database"))
    assert main(["generate", str(tmp_path / "recipe.toml"), "--workers", "0"]) == 0
    found = [a for path in (tmp_path / "database").glob("*.xyz*") for a in read(path, index=":")]
    assert len(found) == 1
    same = found[0].copy()
    same.calc = AM04()
    assert relax(same, 1e-4).converged
    exact = label(same, AM04(), bulk_reference(supercell(AM04_A0, 4), AM04()))
    info = found[0].info
    assert info["formation_energy_eV"] == pytest.approx(exact.formation_energy, rel=0.1)
    assert info["formation_entropy_kB"] == pytest.approx(exact.formation_entropy_kB, rel=0.5)


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
    # coefficients are known to a hundred millionth or so: nearly collinear functions trade theirs
    for atoms in _frames(4, seed=5):
        found = []
        for result in (first, second):
            atoms.calc = ThiryCalculator(result.potential, extrapolation_warning=False)
            found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-10)
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(found[0][2], found[1][2], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"slab": {"force": 2.0}}}, "group 'slab', which has no structure; groups are"),
        ({"weights": {"stress": 1.0}}, "a weight of stress needs one of energy"),
        ({"weights": {"force": 0.0}}, "the weight of force is 0; give one above 0"),
        ({"weights": {"energy": 0.0}}, "the weight of energy is 0; give one above 0"),
        ({"weights": {"enrgy": 1.0}}, "unknown key 'enrgy' .*; did you mean 'energy'"),
        ({"groups": {"bulk": {"forces": 1.0}}}, "unknown key 'forces' .*; did you mean 'force'"),
        ({"keys": {"enrgy": "E"}}, "unknown key 'enrgy' .*; did you mean 'energy'"),
        ({"n_functions": 0}, "'n_functions' in the options of a fit is 0; expected 1"),
        ({"e0": "isolate"}, "'e0' .* did you mean 'isolated'"),
        ({"zbl": "yes"}, "'zbl' .* is 'yes'; expected"),
        ({"preset": "best"}, "unknown preset 'best'"),
    ],
)
def test_mistakes_are_named(files, options, message):
    with pytest.raises(ValueError, match=message):
        fit(files / "all.xyz", r_cut=4.5, **options)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (_frames(1, seed=2), {}, "one structure cannot be fitted and tested with"),
        (_frames(1, seed=2) * 4, {}, "too few energies of Cu .*: 1 of distinct"),
        (_frames(8, seed=2), {"r_cut": 1.5}, "no atom has a neighbour within the cutoff of 1.5 Å"),
        (_frames(8, seed=2), {"targets": ["energy", "entropy"]}, "0 structures have a formation_"),
        (_frames(8, seed=2), {"test": [bulk("Ni")]}, "frame 0 is to be tested with and has Ni"),
        (
            _frames(8, seed=2),
            {"groups": {"bulk": {"energy": 0.0}, "vacancy": {"energy": 0.0}}},
            "too few energies of Cu to leave some out in turn: 0 of distinct",
        ),
        (
            _frames(8, seed=2),
            {
                "e0": {"Cu": 0.0},
                "groups": {
                    name: {"energy": 0.0, "force": 0.0, "stress": 0.0}
                    for name in ("bulk", "vacancy")
                },
            },
            "no label has a weight above 0; weigh some",
        ),
    ],
)
def test_data_that_do_not_suffice(frames, options, message):
    with pytest.raises(ValueError, match=message):
        fit(frames, **{"preset": "fast", "r_cut": 4.5, **options})


def test_a_report_that_could_not_be_written(files):
    with pytest.raises(ValueError, match=r"all.xyz'.*it is a file; name a folder"):
        fit(files / "all.xyz", report=files / "all.xyz")


def test_a_model_that_could_not_be_written(files):
    with pytest.raises(ValueError, match="no folder"):
        fit(files / "all.xyz", files / "nowhere" / "Cu.thiry")


def test_a_folder_of_somebody_else(files, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ValueError, match="is not yours to write in; give another"):
        fit(files / "all.xyz", files / "other.thiry")
