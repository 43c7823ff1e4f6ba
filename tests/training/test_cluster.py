"""A database made by dask workers, one of which dies half way."""

import os
import signal
from threading import Thread
from time import sleep

import pytest

from thiry_calc.cli import main
from training.executors import connect, make_executor
from training.generate import generate
from training.recipe import read_recipe

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None
    ) as running:
        yield running


def test_a_killed_worker_loses_and_repeats_nothing(cluster, tmp_path, recipe_file):
    recipe = read_recipe(recipe_file(80, (2, 3)))
    raw = tmp_path / "database" / "attempts"
    killed = []

    def kill_one() -> None:
        while len(list(raw.glob("[0-9a-f]*.npz"))) < 1:
            sleep(0.05)
        killed.append(next(iter(cluster.workers.values())).pid)
        os.kill(killed[0], signal.SIGKILL)

    assassin = Thread(target=kill_one, daemon=True)
    assassin.start()
    with connect(cluster.scheduler_address) as executor:
        summary = generate(recipe, executor)
    assassin.join()
    assert killed
    with make_executor(0) as alone:  # on one thread, as everywhere: the same bits
        assert summary == generate(recipe, alone, tmp_path / "serial")
    assert summary["attempts"] == 80
    files = sorted(p.name for p in (tmp_path / "serial").glob("*.xyz.xz"))
    assert files == sorted(p.name for p in (tmp_path / "database").glob("*.xyz.xz"))
    for name in (*files, "index.json"):
        assert (tmp_path / "serial" / name).read_bytes() == (
            tmp_path / "database" / name
        ).read_bytes()


def test_the_command_with_a_scheduler(cluster, recipe_file, capsys):
    assert main(["generate", str(recipe_file(2)), "--scheduler", cluster.scheduler_address]) == 0
    assert "of 2 attempts" in capsys.readouterr().out


def test_nobody_answers(recipe_file, capsys, monkeypatch):
    monkeypatch.setattr("training.executors._PATIENCE", 0.5)
    assert main(["generate", str(recipe_file(2)), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err
