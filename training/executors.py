"""Where work is done: here, in a pool of processes, or on a cluster, behind one interface.

Any `concurrent.futures.Executor` will do, also the `get_executor()` of a `dask.distributed.Client`.
Each process of the pool computes on one thread: numba and BLAS threads beside a full pool only take
turns, and sums that do not depend on a number of threads give the same bits everywhere.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
}

_PATIENCE = 30.0  # s, for a scheduler to answer


class SerialExecutor(Executor):
    """Does each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` and return it as a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _end_with_parent() -> None:
    """End this worker when its parent is killed, which nobody tells it otherwise."""
    parent = parent_process()
    if parent is not None:
        wait = parent.join

        def watch() -> None:
            wait()
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def _on_one_thread(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    import numba
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        numba.set_num_threads(1)
        return fn(*args, **kwargs)


class ClusterExecutor(Executor):
    """Sends each task to the workers of a dask cluster, one thread for each.

    When a worker dies, dask gives its tasks to others; shards are written whole or not at all, so
    that nothing is lost and nothing counted twice.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` on a worker."""
        future: Future[Any] = self._executor.submit(_on_one_thread, fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give up what has not been done; the cluster goes on."""
        self._executor.shutdown(wait=wait)


@contextmanager
def connect(scheduler: str) -> Iterator[Executor]:
    """Executor of a dask cluster that is running.

    Parameters
    ----------
    scheduler : str
        Address, such as ``tcp://node1:8786``; its workers see the same files as this process.

    Yields
    ------
    concurrent.futures.Executor

    Raises
    ------
    ValueError
        When dask.distributed is not installed, or nothing answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "a scheduler needs dask.distributed: pip install 'thiry_calc[cluster]'"
        ) from error
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no dask scheduler answers at {scheduler!r} ({error}); start one by `dask scheduler` "
            "and workers by `dask worker ADDRESS --nthreads 1`"
        ) from error
    with client:
        executor = ClusterExecutor(client)
        yield executor
        executor.shutdown(wait=False)


@contextmanager
def make_executor(workers: int) -> Iterator[Executor]:
    """Executor of `workers` processes of one thread each; 0 works in this process.

    Parameters
    ----------
    workers : int
        Number of processes.

    Yields
    ------
    concurrent.futures.Executor

    Raises
    ------
    ValueError
        Negative number.
    """
    if workers < 0:
        raise ValueError(f"the number of workers is {workers}; give 0 (this process) or more")
    if workers == 0:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            yield SerialExecutor()
        return
    saved = {name: os.environ.get(name) for name in ONE_THREAD}
    # Children read these variables when they start, which a pool does at its first tasks.
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
