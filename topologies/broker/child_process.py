"""Child processes that end with their parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def exit_with_parent() -> Callable[[], None]:
    """Return a ``preexec_fn`` for ``subprocess.Popen`` that makes the kernel kill the child when its parent ends.

    This includes the end of a parent by ``kill -9``. On Linux, the parent is the *thread* that started the child, so start
    children from a thread that does not end before them. On other systems the function has no effect.
    """
    parent = os.getpid()

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
