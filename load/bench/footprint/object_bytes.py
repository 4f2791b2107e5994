"""Bytes of a Python object and of all that it refers to, without what other objects share with it."""

import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

_ALIGNMENT = 16
"""Python allocates memory in multiples of this number of bytes."""

_NOT_DATA = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, np.dtype)


def exclusive_bytes(root: object, *others: object) -> int:
    """Return the bytes of an object and of all that only it refers to.

    What one of the other objects also refers to is shared. Memory that Python cannot see, such as that of an extension
    written in Rust, and unused memory between objects do not count.

    >>> shared = list(range(1000, 2000))
    >>> exclusive_bytes([shared], [shared]) < 100 < exclusive_bytes([shared])
    True
    """
    seen: dict[int, object] = {}
    for other in others:
        _visit(other, seen)
    return _visit(root, seen)


def _visit(root: object, seen: dict[int, object]) -> int:
    """Add all objects that are not yet seen, and return their bytes."""
    total, waiting = 0, [root]
    while waiting:
        value = waiting.pop()
        if value is None or isinstance(value, _NOT_DATA) or id(value) in seen:
            continue
        seen[id(value)] = value
        total += _own_bytes(value)
        waiting += _children(value)
    return total


def _own_bytes(value: object) -> int:
    size = sys.getsizeof(value)
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _children(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from value
    elif isinstance(value, np.ndarray):
        yield value.base
    else:
        if hasattr(value, "__dict__"):
            yield vars(value)
        for parent in type(value).__mro__:
            slots = parent.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                yield getattr(value, name, None)
