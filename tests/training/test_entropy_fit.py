"""Formation entropies from structures to a potential."""

import json

import numpy as np
import pytest
from ase.io import write

from thiry_calc import Potential, ThiryCalculator
from thiry_calc.cli import main
from thiry_calc.defects import supercell
from thiry_calc.descriptors import ACE, Combined, Pair
from training.dataset import labelled
from training.entropy_fit import BulkCrystal, entropy_rows
from training.executors import make_executor
from training.fitting import fit
from training.references.am04 import AM04

A0 = 2.86
IRON = BulkCrystal("Fe", "bcc", A0)
TRUE = Combined((Pair(4.0, 3),))


def _frames(n, seed=0):
    """Vacancies and displaced atoms; entropies linear in pair functions, and a little noise."""
    rng = np.random.default_rng(seed)
    bulk = TRUE.values(supercell(A0, 2))[0]
    out = []
    for k in range(n):
        atoms = supercell(A0, 3 + k % 2)
        del atoms[rng.choice(len(atoms), 1 + k % 3, replace=False)]
        atoms.positions += 0.08 * rng.normal(size=(len(atoms), 3))
        x = TRUE.values(atoms).sum(axis=0) - len(atoms) * bulk
        atoms.info |= {
            "formation_entropy_kB": float(x @ [3.0, -2.0, 1.0] + 0.01 * rng.normal()),
            "group": f"V{1 + k % 3}",
        }
        out.append(atoms)
    return out


def test_rows_vanish_for_the_perfect_crystal_in_any_strain(tmp_path):
    perfect = supercell(A0, 3)
    strained = perfect.copy()
    strained.set_cell(perfect.cell.array @ np.diag([1.01, 0.99, 1.02]), scale_atoms=True)
    structures = labelled([perfect, strained])
    with make_executor(0) as executor:
        rows = entropy_rows(structures, TRUE, IRON, executor, tmp_path)
        again = entropy_rows(structures, TRUE, IRON, executor, tmp_path)
    np.testing.assert_allclose(rows, 0, atol=1e-10)
    np.testing.assert_array_equal(rows, again)


def test_the_law_behind_the_labels_is_found(tmp_path):
    model = tmp_path / "Fe.thiry"
    crystal = {"lattice": "bcc", "a0": A0}
    result = fit(
        _frames(40), model, targets=["entropy"], descriptors=[ACE(4.0, (4, 2)), Pair(4.0, 3)],
        crystal=crystal, test=_frames(9, seed=1),
    )  # fmt: skip
    assert result.energy is None
    assert result.entropy.descriptor == TRUE
    assert result.test.summary()["entropy_rmse_kB"] < 0.05
    again = Potential.load(model)
    assert list(again.targets) == ["entropy"]
    atoms = supercell(A0, 3)
    calc = ThiryCalculator(again)
    assert calc.get_property("formation_entropy", atoms) == pytest.approx(0, abs=1e-9)


def test_entropies_of_a_group_count_as_told():
    frames = _frames(36)
    for atoms in frames:
        if atoms.info["group"] == "V2":
            atoms.info["formation_entropy_kB"] += 1.0  # wrong labels

    def error(factor):
        result = fit(
            frames, targets=["entropy"], descriptors=[TRUE], crystal={"lattice": "bcc", "a0": A0},
            groups={"V2": {"entropy": factor}}, test=_frames(9, seed=1),
        )  # fmt: skip
        return result.test.summary()["entropy_mae_kB"], result.entropy.n_structures

    errors, counts = zip(*map(error, (1.0, 0.05, 0.0)), strict=True)
    assert counts == (36, 36, 24)
    assert errors[0] > 0.2
    assert errors[1] < 0.1
    assert errors[2] < 0.02


def test_energies_and_entropies_of_one_potential(tmp_path, capsys):
    frames = _frames(24)
    for atoms in frames:
        atoms.calc = AM04()
        atoms.get_forces()
        atoms.get_stress()
    write(tmp_path / "data.xyz", frames, format="extxyz")
    (tmp_path / "fit.toml").write_text(
        f"""
        [data]
        train = ["data.xyz"]
        [model]
        targets = ["energy", "entropy"]
        preset = "fast"
        r_cut = 4.2
        [output]
        model = "{tmp_path / "Fe.thiry"}"
        report = "{tmp_path / "report"}"
        """
    )
    assert main(["fit", str(tmp_path / "fit.toml"), "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "left out: formation entropy (k_B)" in printed
    potential = Potential.load(tmp_path / "Fe.thiry")
    assert set(potential.targets) == {"energy", "entropy"}
    assert potential.crystal.lattice == "bcc"
    shared = set(potential.target("energy").parts) & set(potential.target("entropy").parts)
    assert len(shared) == 1  # one pass over the neighbours
    atoms = frames[0].copy()
    atoms.calc = ThiryCalculator(potential, temperature=300, extrapolation_warning=False)
    assert np.isfinite(atoms.get_potential_energy(force_consistent=True))
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(numbers["coverage"]["training"]) == {"energy", "forces", "entropy"}
    assert "formation entropy (k_B)" in numbers["errors"]["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "entropies count from a crystal, and there is none: no energy is fitted"),
        ({"crystal": {"lattice": "bcc", "a0": 3.3}}, "frame 0: its box is no supercell of bcc Fe"),
        ({"crystal": {"lattice": "bcc", "a0": A0}, "n": 6}, "have a formation_entropy_kB; a fit"),
        ({"targets": ["entropies"]}, "expected some of energy, entropy"),
    ],
)
def test_mistakes_are_named(options, message):
    given = {"targets": ["entropy"], "descriptors": [Pair(4.0, 3)], **options}
    frames = _frames(given.pop("n", 12))
    with pytest.raises(ValueError, match=message):
        fit(frames, **given)
