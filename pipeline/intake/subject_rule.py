"""Rules for the subject of a record: a name with sources in braces."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.intake.source_path import SourcePath

_BRACES = re.compile(r"\{([^{}]*)\}")


class SubjectRule:
    """A rule such as ``{app}-{endpoint}``.

    Raises
    ------
    ValueError
        If a brace is not closed or a source is empty.

    >>> SubjectRule("{app}-{endpoint}").build({"app": "shop", "endpoint": 5})
    'shop-5'
    """

    def __init__(self, text: str) -> None:
        self._names, sources = _BRACES.split(text)[::2], _BRACES.findall(text)
        if any("{" in name or "}" in name for name in self._names):
            raise ValueError(f'subject "{text}": write each source in braces, as in {{app}}-{{endpoint}}')
        try:
            self._sources = [SourcePath(source) for source in sources]
        except ValueError as error:
            raise ValueError(f'subject "{text}": {error}') from None

    @property
    def sources(self) -> tuple[str, ...]:
        """The paths of the sources."""
        return tuple(source.text for source in self._sources)

    def build(self, source: Mapping[str, Any]) -> str | None:
        """Return the subject of an object, or None if a source is missing or is neither text nor a whole number."""
        subject = self._names[0]
        for path, name in zip(self._sources, self._names[1:], strict=True):
            value = path.find(source)
            if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
                return None
            subject += f"{value}{name}"
        return subject
