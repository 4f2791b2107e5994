"""Paths of values in a JSON object, such as ``usage.latency`` or ``choices.0.finish_reason``."""

from collections.abc import Mapping
from typing import Any

PATH_PARTS_MAX = 32
"""Maximum number of parts of a path."""

_INDEX_DIGITS_MAX = 10


class SourcePath:
    """One path. A key that contains dots is found as a whole, and a number selects an item of a list.

    In each object, longer keys are tried before shorter ones.

    Raises
    ------
    ValueError
        If the path is empty or has more than 32 parts.

    >>> SourcePath("usage.latency").find({"usage": {"latency": 3}})
    3
    >>> SourcePath("attributes.gen_ai.model").find({"attributes": {"gen_ai.model": "m"}})
    'm'
    """

    def __init__(self, text: str) -> None:
        parts = text.split(".")
        if not text:
            raise ValueError("the source has no name")
        if len(parts) > PATH_PARTS_MAX:
            raise ValueError(f"the source has {len(parts)} parts: use at most {PATH_PARTS_MAX}")
        self.text = text
        # For each part, the keys that start there, from the longest, and the index of the part after each key.
        self._keys = [
            [(".".join(parts[start:stop]), stop) for stop in range(len(parts), start, -1)]
            for start in range(len(parts))
        ]

    def find(self, source: Mapping[str, Any]) -> Any:
        """Return the value at the path, or None if there is none."""
        return source.get(self.text) if len(self._keys) == 1 else self._find(source, 0)

    def _find(self, container: Any, start: int) -> Any:
        keys = self._keys[start]
        if start == 0 or isinstance(container, dict):
            for key, stop in keys:
                found = container.get(key)
                if found is not None and stop < len(self._keys):
                    found = self._find(found, stop)
                if found is not None:
                    return found
        elif isinstance(container, list):
            key, stop = keys[-1]
            if key.isdecimal() and len(key) < _INDEX_DIGITS_MAX and int(key) < len(container):
                found = container[int(key)]
                return found if stop == len(self._keys) else self._find(found, stop)
        return None
