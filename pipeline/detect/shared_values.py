"""Values that many streams have in common, such as the layout of their tests. Each is in memory once.

The streams of a fleet usually send the same signals, so most of what is derived from their names is equal.
"""

import functools
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

SHARED_MAX = 4096
"""Maximum number of arrays, and of other values, that are remembered. Further values are shared by fewer streams."""

Value = TypeVar("Value", bound=Hashable)
Item = TypeVar("Item", bound=np.generic)


@functools.lru_cache(SHARED_MAX)
def share(value: Value) -> Value:
    """Return the remembered value that equals an immutable value.

    >>> share(("latency_ms", "error")) is share(tuple(["latency_ms", "error"]))
    True
    """
    return value


def share_array(array: NDArray[Item]) -> NDArray[Item]:
    """Return the remembered array with the bytes of an array. It is read-only.

    >>> share_array(np.arange(3)) is share_array(np.arange(3))
    True
    """
    shared: NDArray[Item] = _remember(array.dtype.str, array.shape, array.tobytes())
    return shared


@functools.lru_cache(SHARED_MAX)
def index_names(names: tuple[str, ...]) -> Mapping[str, int]:
    """Return the index of each name. It must not be changed."""
    return {name: index for index, name in enumerate(names)}


@functools.lru_cache(SHARED_MAX)
def _remember(dtype: str, shape: tuple[int, ...], content: bytes) -> NDArray[Any]:
    return np.frombuffer(content, dtype=dtype).reshape(shape)
