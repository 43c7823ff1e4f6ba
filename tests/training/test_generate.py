import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from thiry_calc.cli import main
from thiry_calc.defects import STANDARD, supercell
from thiry_calc.structures import read_structures
from thiry_calc.symmetry import fingerprint, first_equals
from training import shards as shards_module
from training.database import frame, load_database, write_frames
from training.executors import make_executor
from training.generate import generate
from training.label import bulk_reference, label
from training.recipe import parse_recipe
from training.references.am04 import AM04, LATTICE_CONSTANT
from training.sampling import Attempt, attempt, generator, lattice_constant
from training.shards import digest, plan, read_shard, write_shard

FAMILIES = [
    {"kind": "random_cluster", "vacancies": [2, 3], "count": 4},
    {"kind": "random_cluster", "interstitials": [1, 3], "c15_share": 0.3, "count": 4},
    {"kind": "annealed", "interstitials": [1, 2], "steps": [20, 40], "count": 2},
    {"kind": "strained", "vacancies": [1, 1], "interstitials": [0, 1], "count": 3},
    {"kind": "mixed", "vacancies": [1, 1], "interstitials": [1, 1], "count": 2},
]


def recipe(families=FAMILIES, **output):
    return parse_recipe(
        {
            "reference": {"potential": "AM04"},
            "cells": {"sizes": [4]},
            "family": [dict(f) for f in families],
            "hessian": {"labels": ["total"]},
            "output": {"folder": "database", "seed": 3, **output},
        }
    )


@pytest.fixture(scope="module", autouse=True)
def short_shards():
    """Two attempts to a shard, so that small recipes have several."""
    original, shards_module.SIZE = shards_module.SIZE, 2
    yield
    shards_module.SIZE = original


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("database")
    with make_executor(0) as executor:
        summary = generate(recipe(), executor, folder)
    return folder, summary


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.xyz.xz"))}


def test_the_summary_adds_up(database):
    folder, summary = database
    assert summary["attempts"] == 15
    parts = summary["kept"] + summary["duplicates"] + summary["in_standard_scan"]
    assert parts + sum(summary["failures"].values()) == 15
    assert summary["kept"] > 5
    assert [f["attempts"] for f in summary["families"]] == [4, 4, 2, 3, 2]
    assert sum(f["kept"] for f in summary["families"]) == summary["kept"]
    assert sum(g["n"] for g in summary["groups"].values()) == summary["kept"]
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert (folder / "histogram.png").read_bytes()[:4] == b"\x89PNG"


def test_labels_are_those_of_the_structures(database):
    folder, summary = database
    frames = load_database(folder)
    assert len(frames) == summary["kept"]
    for atoms in frames:
        assert np.abs(atoms.get_forces()).max() < 1e-5
        # strained cells have a perfect crystal of their own
        perfect = supercell(LATTICE_CONSTANT, 4)
        perfect.set_cell(atoms.cell, scale_atoms=True)
        bulk = bulk_reference(perfect, AM04())
        fresh = label(atoms, AM04(), bulk)
        assert atoms.get_potential_energy() == pytest.approx(fresh.energy, abs=1e-9)
        assert atoms.info["formation_energy_eV"] == pytest.approx(fresh.formation_energy, abs=1e-8)
        expected = fresh.formation_entropy_kB
        assert atoms.info["formation_entropy_kB"] == pytest.approx(expected, abs=1e-7)
    strained = [a for a in frames if a.info["family"] == "strained"]
    assert strained
    for atoms in strained:
        strain = atoms.cell.array / (4 * LATTICE_CONSTANT) - np.eye(3)
        assert 1e-4 < np.abs(strain).max() <= 0.02


def test_the_files_hold_what_the_loader_gives(database):
    folder, _ = database
    index = json.loads((folder / "index.json").read_text())
    files = [folder / f"{s['name']}.xyz.xz" for s in index["shards"]]
    frames = [a for path in files for a in read_structures(path)]
    assert len(frames) == index["n_configurations"]
    for atoms, loaded in zip(frames, load_database(folder), strict=True):
        np.testing.assert_allclose(atoms.positions, loaded.positions, atol=1e-8)
        assert atoms.get_potential_energy() == pytest.approx(loaded.get_potential_energy())
        np.testing.assert_allclose(atoms.get_forces(), loaded.get_forces(), atol=1e-8)
        for key in ("formation_entropy_kB", "formation_energy_eV", "n_sites", "family", "group"):
            assert atoms.info[key] == pytest.approx(loaded.info[key])
    with pytest.raises(FileNotFoundError):
        load_database(folder / "none")


def test_files_of_others_in_the_folder_are_left_alone(tmp_path):
    foreign = tmp_path / "my_dft.xyz.xz"
    foreign.write_bytes(b"mine")
    write_frames([], tmp_path)
    assert foreign.read_bytes() == b"mine"


def test_damaged_and_missing_shards_are_named(database, tmp_path):
    folder, _ = database
    shard = next(p for p in sorted((folder / "attempts").glob("*.npz")))
    contents = shard.read_bytes()
    damaged = tmp_path / shard.name
    for k in range(100, len(contents), len(contents) // 40):
        damaged.write_bytes(contents[:k] + bytes([contents[k] ^ 0xFF]) + contents[k + 1 :])
        with suppress(RuntimeError):  # nothing else may come out
            read_shard(damaged)
    with pytest.raises(RuntimeError, match="missing or damaged"):
        read_shard(tmp_path / "none.npz")


def test_no_duplicates_and_nothing_of_the_standard_scan_is_left(database):
    folder, _ = database
    raw = folder / "attempts"
    (path,) = raw.glob("standard-*.npz")
    standard = read_shard(path)
    assert len(standard) == len(STANDARD)
    assert standard[0].label.formation_entropy_kB == pytest.approx(2.54, abs=0.05)
    frames = load_database(folder)
    prints = [a.fingerprint for a in standard if a.atoms is not None]
    known = len(set(first_equals(prints)))
    everything = prints + [fingerprint(a) for a in frames]
    assert len(set(first_equals(everything))) == known + len(frames)


def test_the_result_does_not_depend_on_the_number_of_workers(database, tmp_path):
    folder, _ = database
    # A smaller recipe, whose first families are those of the database.
    with make_executor(2) as executor:
        generate(recipe(FAMILIES[:2]), executor, tmp_path)
    theirs, ours = contents(folder), contents(tmp_path)
    assert ours
    for name, data in ours.items():
        assert data == theirs[name]


def test_a_run_resumes_and_repeats_nothing(database, tmp_path, monkeypatch):
    folder, summary = database
    raw = tmp_path / "attempts"
    raw.mkdir()
    shards = plan(recipe())
    for path in (folder / "attempts").iterdir():
        if path.stem not in (shards[1].name, shards[4].name):
            (raw / path.name).write_bytes(path.read_bytes())
    (raw / f".{shards[1].name}.npz.123").write_bytes(b"half a shard")
    made = []

    def counting(*arguments):
        made.append(arguments[1:])
        return attempt(*arguments)

    monkeypatch.setattr(shards_module, "attempt", counting)
    with make_executor(0) as executor:
        again = generate(recipe(), executor, tmp_path)
    assert sorted(made) == sorted(
        (s.family, n) for s in (shards[1], shards[4]) for n in range(s.start, s.stop)
    )
    assert again == summary
    assert contents(tmp_path) == contents(folder)


def test_an_unfinished_run_gives_a_database_as_it_stands(database, tmp_path):
    copy = tmp_path / "database"
    shutil.copytree(database[0], copy)
    for shard in plan(recipe())[:2]:  # the first family
        (copy / "attempts" / f"{shard.name}.npz").unlink()
    before = set((copy / "attempts").iterdir())
    with make_executor(0) as executor:
        summary = generate(recipe(), executor, copy, as_it_stands=True)
    assert set((copy / "attempts").iterdir()) == before
    assert (summary["planned"], summary["attempts"]) == (15, 11)
    first = summary["families"][0]
    assert (first["planned"], first["attempts"], first["kept"]) == (4, 0, 0)
    assert len(load_database(copy)) == summary["kept"] > 0
    assert set(contents(copy)) < set(contents(database[0]))


def test_the_first_attempts_are_a_fair_sample_and_always_the_same(database, tmp_path):
    fresh, copy = tmp_path / "fresh", tmp_path / "copy"
    shutil.copytree(database[0], copy)
    with make_executor(0) as executor:
        summary = generate(recipe(), executor, fresh, attempts=6)
        assert generate(recipe(), executor, copy, attempts=6) == summary
    assert (summary["planned"], summary["attempts"]) == (15, 6)
    # shards of two: half of each family of four, and of the three strained ones
    assert [f["attempts"] for f in summary["families"]] == [2, 2, 0, 2, 0]
    assert contents(fresh) == contents(copy)
    with make_executor(0) as executor:
        assert generate(recipe(), executor, fresh) == database[1]


def test_names_of_shards_follow_what_decides_their_contents():
    base = recipe()
    names = [s.name for s in plan(base)]
    assert len(set(names)) == len(names)
    assert [s.name for s in plan(recipe(FAMILIES[:2]))] == names[:4]
    assert [s.name for s in plan(replace(base, folder="elsewhere"))] == names
    for changed in (replace(base, seed=4), replace(base, sizes=(5,)), replace(base, a0=2.86)):
        assert not set(names) & {s.name for s in plan(changed)}
    grown = recipe([{**FAMILIES[0], "count": 8}, *FAMILIES[1:]])
    assert [s.name for s in plan(grown)][:2] == names[:2]
    assert digest(base, None) != digest(replace(base, seed=4), None)


def test_failures_are_counted_and_survived(tmp_path):
    # Spheres that hold too few sites: each attempt fails, the run does not.
    family = {"kind": "random_cluster", "vacancies": [4, 4], "radius": [0.5, 1.0], "count": 3}
    with make_executor(0) as executor:
        summary = generate(recipe([family, FAMILIES[0]]), executor, tmp_path)
    assert summary["families"][0]["kept"] == 0
    assert sum(summary["families"][0]["failures"].values()) == 3
    assert summary["families"][1]["kept"] > 0
    assert all("not built" in reason for reason in summary["failures"])


def test_a_damaged_shard_is_named(tmp_path):
    path = tmp_path / "shard.npz"
    write_shard(path, [Attempt(0, 0, "saddle")])
    assert read_shard(path) == [Attempt(0, 0, "saddle")]
    assert [p.name for p in tmp_path.iterdir()] == ["shard.npz"]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RuntimeError, match="damaged"):
        read_shard(path)


def test_labels_beyond_the_total_are_stored_when_asked_for(tmp_path):
    asked = replace(
        recipe([{**FAMILIES[0], "count": 2}]), eigenvalues=True, sites=True, gradient=True
    )
    (shard,) = plan(asked)
    path = tmp_path / "shard.npz"
    shards_module.make_shard(asked, shard, path)
    first, one = read_shard(path)
    for attempted in (first, one):
        stored = frame(attempted)
        total = attempted.label.formation_entropy_kB
        assert stored.arrays["site_entropies_kB"].sum() == pytest.approx(total, abs=1e-9)
        assert np.abs(stored.arrays["entropy_gradient_kB_per_A"].sum(axis=0)).max() < 1e-9
    assert one.label.eigenvalues.shape == (3 * len(one.atoms),)
    assert np.abs(one.label.eigenvalues[:3]).max() < 1e-9
    bulk = bulk_reference(supercell(LATTICE_CONSTANT, 4), AM04())
    n = len(one.atoms)
    total = np.log(one.label.eigenvalues[3:]).sum()
    expected = -0.5 * (total - (n - 1) / 127 * bulk.log_det)
    assert one.label.formation_entropy_kB == pytest.approx(expected, abs=1e-8)


def test_saddles_are_pushed_off_and_recombined_pairs_left_out():
    (one,) = [attempt(recipe([{**FAMILIES[1], "interstitials": [1, 1]}]), 0, 0)]
    assert one.label is not None
    assert np.linalg.eigvalsh(AM04().get_hessian(one.atoms).toarray())[2] > -1e-9
    family = {**FAMILIES[4], "radius": [2.5, 2.6], "count": 12}
    reasons = [attempt(recipe([family]), 0, n).failure for n in range(12)]
    assert "recombined to the perfect crystal" in reasons


def test_saddles_are_labelled_by_the_modulus_of_their_determinant(tmp_path):
    family = {"kind": "saddle", "vacancies": [1, 1], "count": 2}
    with make_executor(0) as executor:
        generate(recipe([family]), executor, tmp_path)
    frames = load_database(tmp_path)
    assert frames
    bulk = bulk_reference(supercell(LATTICE_CONSTANT, 4), AM04())
    for atoms in frames:
        values = np.linalg.eigvalsh(AM04().get_hessian(atoms).toarray())
        assert values[0] == pytest.approx(atoms.info["unstable_eigenvalue_eV_per_A2"], abs=1e-6)
        assert values[0] < -0.1 < -1e-6 < values[1]
        log_det = np.log(np.abs(np.delete(values, [1, 2, 3]))).sum()
        expected = -0.5 * (log_det - (len(atoms) - 1) / 127 * bulk.log_det)
        assert atoms.info["formation_entropy_kB"] == pytest.approx(expected, abs=1e-6)
        assert atoms.info["family"] == "saddle"
        assert 2.2 < atoms.info["formation_energy_eV"] < 6


def test_random_numbers_depend_on_the_key_only():
    first, same, other = (generator(1, 2, k).random() for k in (3, 3, 4))
    assert first == same != other


def test_the_lattice_constant_is_the_potentials_own_unless_given():
    assert lattice_constant(recipe()) == LATTICE_CONSTANT
    assert lattice_constant(replace(recipe(), a0=2.87)) == 2.87


def test_the_command(recipe_file, capsys):
    path = recipe_file(2)
    assert main(["generate", str(path), "--workers", "0", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["attempts"] == 2
    assert main(["generate", str(path), "--workers", "0"]) == 0
    assert "duplicates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vacancies", "vacancys", "did you mean 'vacancies'"),
        ('"AM04"', '"AM03"', "unknown reference potential 'AM03'"),
        ("[4]", "[4", "not valid TOML"),
    ],
)
def test_the_command_ends_with_one_sentence_on_bad_input(
    tmp_path, recipe_file, capsys, old, new, message
):
    path = recipe_file(2)
    path.write_text(path.read_text().replace(old, new))
    assert main(["generate", str(path), "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "database").exists()
    assert main(["generate", str(tmp_path / "none.toml")]) == 2


@pytest.mark.slow
def test_kill_9_and_resume(tmp_path, recipe_file):
    path = recipe_file(200)
    start = "import sys; from thiry_calc.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "generate", str(path), "--workers", "2"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    raw = tmp_path / "database" / "attempts"
    while len(list(raw.glob("[0-9a-f]*.npz"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "database" / "index.json").exists()
    before = {p.name: p.stat().st_mtime_ns for p in raw.glob("[0-9a-f]*.npz")}
    assert 2 <= len(before) < 10
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    for name, stamp in before.items():
        assert (raw / name).stat().st_mtime_ns == stamp
    index = json.loads((tmp_path / "database" / "index.json").read_text())
    assert index["n_configurations"] > 0
    for entry in index["shards"]:
        file = tmp_path / "database" / f"{entry['name']}.xyz.xz"
        assert file.is_file()
