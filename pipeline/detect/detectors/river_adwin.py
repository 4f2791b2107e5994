"""ADWIN from river's Rust core. No other module uses river's private module.

River's Python class ``river.drift.ADWIN`` clears its entire window on the update that follows a detection. Its Rust
core only drops the values before the change, so its mean is the mean since the change. Its state can be dumped as
bytes.
"""

from importlib import import_module, metadata
from typing import Any

KNOWN_VERSIONS = ("0.26.1",)
"""Versions of river whose Rust core is known to work."""

_MODULE, _CLASS = "river._river_rust.drift", "AdaptiveWindowing"
_METHODS = ("update", "get_total", "get_width", "__getstate__", "__setstate__")

_CLOCK = 1
_BUCKETS_MAX = 5
_WINDOW_MIN = 5
_GRACE_RECORDS = 10
"""River's defaults, except that ADWIN tests for a change on every update."""


def import_core() -> Any:
    """Import the class of the Rust core.

    Raises
    ------
    ImportError
        If the installed river has no such class, or the class lacks a method.
    """
    try:
        core = getattr(import_module(_MODULE), _CLASS)
        missing = [name for name in _METHODS if not hasattr(core, name)]
    except (ImportError, AttributeError):
        missing = [f"{_MODULE}.{_CLASS}"]
    if missing:
        raise ImportError(
            f"river {metadata.version('river')} lacks {', '.join(missing)}, which driftwire's ADWIN needs. "
            f"Versions known to work: {', '.join(KNOWN_VERSIONS)}. "
            f"Install one of them: pip install 'river=={KNOWN_VERSIONS[-1]}'"
        )
    return core


_CORE = import_core()


def new_window(delta: float) -> Any:
    """Return an empty ADWIN window with a significance of ``delta``.

    >>> window = new_window(1e-5)
    >>> any([window.update(x) for x in [0.2] * 100 + [0.8] * 1000])
    True
    >>> round(window.get_total() / window.get_width(), 1)
    0.8
    """
    return _CORE(
        delta=delta,
        clock=_CLOCK,
        max_buckets=_BUCKETS_MAX,
        min_window_length=_WINDOW_MIN,
        grace_period=_GRACE_RECORDS,
    )


def dump_window(window: Any) -> bytes:
    """Return the state of a window, in river's own format."""
    return bytes(window.__getstate__())


def load_window(state: bytes, delta: float) -> Any:
    """Restore a window from the state that :func:`dump_window` returned.

    Raises
    ------
    ValueError
        If river cannot read the bytes.
    """
    window = new_window(delta)
    try:
        window.__setstate__(state)
    except BaseException as error:
        # The Rust core panics with an exception that does not derive from Exception.
        if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
            raise
        raise ValueError(f"river cannot read a stored ADWIN window: {error}") from error
    return window
