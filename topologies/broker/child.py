"""How child processes are started: apart from the terminal's signals, and never outliving the parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent() -> Callable[[], None]:
    """What to give ``subprocess.Popen`` as ``preexec_fn``: the kernel kills the child when the parent is gone.

    Even a parent that is killed with ``kill -9`` leaves nothing running. Linux counts the *thread* that started the
    child as its parent: start children from one that lives as long as they should. Elsewhere than on Linux this does
    nothing.
    """
    parent = os.getpid()

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
