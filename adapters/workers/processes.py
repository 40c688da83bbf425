"""What processes that share a machine's cores are started with."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Children started meanwhile use one thread each: there are already as many of them as cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    # The libraries read these when they are loaded, so they must stand there before the child starts.
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with_parent() -> None:
    """Called in a child: end it when the parent ends, however that does; nobody would come for its results."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    parent = parent_process()
    if parent is not None:
        # A sentinel, since a parent that is killed cannot tell its children anything.
        connection.wait([parent.sentinel])
        # sys.exit would end this thread alone.
        os._exit(1)
