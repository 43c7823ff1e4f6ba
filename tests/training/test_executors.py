import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from training.executors import ONE_THREAD, SerialExecutor, make_executor


def test_serial_executor_returns_results_and_errors():
    with make_executor(0) as executor:
        assert isinstance(executor, SerialExecutor)
        assert executor.submit(pow, 2, 5).result() == 32
        failed = executor.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result()


def test_workers_have_one_thread_and_this_process_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    with make_executor(1) as executor:
        assert isinstance(executor, ProcessPoolExecutor)
        for name in ONE_THREAD:
            assert executor.submit(os.getenv, name).result(timeout=60) == "1"
        assert executor.submit(np.linalg.norm, np.ones(4)).result(timeout=60) == 2.0
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="number of workers is -1"), make_executor(-1):
        pass


def test_workers_end_with_a_killed_parent():
    code = (
        "import os, time\n"
        "from training.executors import make_executor\n"
        "if __name__ == '__main__':\n"
        "    with make_executor(2) as pool:\n"
        "        print(*set(pool.map(abs, range(8))), flush=True)\n"
        "        print(*pool._processes, flush=True)\n"
        "        time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "the workers outlive their parent"
        time.sleep(0.1)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie that nobody has waited for is no longer alive
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())
