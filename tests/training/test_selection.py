"""The most informative structures of a pool."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.cli import main
from training.executors import make_executor
from training.fitting import fit
from training.selection import select, weighted_rows


def _cell(rng, rattle):
    atoms = bulk("Cu", "fcc", 3.6, cubic=True) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array * (1 + 0.05 * rng.normal()), scale_atoms=True)
    atoms.positions += rattle * rng.normal(size=(len(atoms), 3))
    return atoms


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rng = np.random.default_rng(0)
    frames = [_cell(rng, 0.05) for _ in range(12)]
    for atoms in frames:
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
    path = tmp_path_factory.mktemp("model") / "Cu.thiry"
    fit(frames, path, preset="fast", r_cut=4.0)
    return path


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(1)
    return [_cell(rng, 0.02 * (1 + k % 6)) for k in range(18)]


def _information(pool, potential, chosen):
    """ln det of the posterior's precision, over that before, in nats."""
    L = potential.target("energy").model.leverage_factor
    rows = np.vstack([weighted_rows(pool[k], potential) for k in chosen]) @ L
    return 0.5 * np.linalg.slogdet(np.eye(len(rows)) + rows @ rows.T)[1]


def test_greedy_choices_and_their_information(model, pool):
    potential = Potential.load(model)
    with make_executor(0) as executor:
        found = select(pool, potential, 5, executor)
    chosen: list[int] = []
    for k in found.indices:
        gains = {
            j: _information(pool, potential, [*chosen, j])
            for j in range(len(pool))
            if j not in chosen
        }
        assert gains[k] == pytest.approx(max(gains.values()), rel=1e-9)
        chosen.append(int(k))
        assert found.gains[: len(chosen)].sum() == pytest.approx(gains[k], rel=1e-8)
    assert np.all(np.diff(found.gains) < 0)


def test_rows_are_those_of_the_fit(model, pool):
    potential = Potential.load(model)
    atoms = pool[5]
    rows, w = weighted_rows(atoms, potential), potential.info["weights"]
    target, n = potential.target("energy"), len(atoms)
    predicted = rows @ target.model.coefficients
    atoms = atoms.copy()
    atoms.calc = ThiryCalculator(potential, extrapolation_warning=False)
    energy = atoms.get_potential_energy() - n * target.reference_values[0]
    forces = atoms.get_forces()
    factors = w["forces"] / np.sqrt(1 + np.sum(forces**2, axis=1) / 100.0)
    stress = atoms.get_stress() * atoms.get_volume()
    expected = [
        [w["energy"] * energy / np.sqrt(n)],
        (factors[:, None] * forces).ravel(),
        w["stress"] * stress / np.sqrt(n) if w["stress"] else [],
    ]
    np.testing.assert_allclose(predicted, np.concatenate(expected), rtol=1e-7, atol=1e-7)


def test_a_copy_halves_variances_at_most(model, pool):
    potential = Potential.load(model)
    with make_executor(0) as executor:
        found = select([pool[5], pool[5].copy()], potential, 2, executor)
    n_rows = len(weighted_rows(pool[5], potential))
    assert found.gains[1] < min(found.gains[0], 0.5 * n_rows * np.log(2))


def test_the_command(model, pool, tmp_path, capsys):
    write(tmp_path / "pool.xyz", pool)
    arguments = ["select", str(tmp_path / "pool.xyz"), "--model", str(model), "-n", "3"]
    out = tmp_path / "chosen.xyz"
    assert main([*arguments, "-o", str(out), "--workers", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["selected"]
    with make_executor(0) as executor:
        found = select(pool, Potential.load(model), 3, executor)
    frames = read(out, index=":")
    for row, atoms, k, gain in zip(rows, frames, found.indices, found.gains, strict=True):
        assert row["source"].endswith(f"pool.xyz, frame {k}")
        assert row["information_nats"] == atoms.info["information_nats"] == pytest.approx(gain)
        np.testing.assert_allclose(atoms.positions, pool[k].positions, atol=1e-7)
    assert main([*arguments, "-o", str(out)]) == 0
    assert f"written: {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": "40"}, "40 structures wanted from a pool of 18; ask for 1 to 18"),
        ({"n": "0"}, "0 structures wanted"),
        ({"element": "Ni"}, "frame 0 has Ni, unknown to model 'Cu'"),
        ({"o": "nowhere/chosen.xyz"}, "nowhere"),
        ({"info": {}}, "has no weights of energies and forces"),
    ],
)
def test_mistakes_are_named(model, pool, tmp_path, capsys, change, message):
    frames = [atoms.copy() for atoms in pool]
    for atoms in frames:
        atoms.symbols[:] = change.get("element", "Cu")
    write(tmp_path / "pool.xyz", frames)
    out = tmp_path / change.get("o", "chosen.xyz")
    potential = Potential.load(model)
    replace(potential, info=change.get("info", potential.info)).save(tmp_path / "Cu.thiry")
    name = str(tmp_path / "Cu.thiry")
    arguments = ["select", str(tmp_path / "pool.xyz"), "--model", name, "-n", change.get("n", "2")]
    assert main([*arguments, "-o", str(out), "--workers", "0"]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
