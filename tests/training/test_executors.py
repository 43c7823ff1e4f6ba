import os
from concurrent.futures import ProcessPoolExecutor

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
