"""Child processes that end with their parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def exit_with_parent() -> Callable[[], None]:
    """Return a ``preexec_fn`` for ``subprocess.Popen`` with which the kernel kills the child when its parent ends.

    This covers a parent that is killed with ``kill -9``. Linux counts the *thread* that started the child as its
    parent, so start children from a thread that lives as long as they should. On other systems this does nothing.
    """
    parent = os.getpid()

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
