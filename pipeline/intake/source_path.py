"""Paths of values in a JSON object, such as ``usage.latency`` or ``choices.0.finish_reason``."""

from collections.abc import Mapping
from typing import Any

PATH_PARTS_MAX = 32
"""Maximum number of parts of a path."""


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
        return self._find(source, 0)

    def _find(self, container: Any, start: int) -> Any:
        if start == len(self._keys):
            return container
        if isinstance(container, Mapping):
            for key, stop in self._keys[start]:
                if key in container and (found := self._find(container[key], stop)) is not None:
                    return found
        elif isinstance(container, list):
            key = self._keys[start][-1][0]
            if key.isdecimal() and len(key) < 10 and int(key) < len(container):
                return self._find(container[int(key)], start + 1)
        return None
