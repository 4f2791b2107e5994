"""Rules for a subject: a name with sources in braces."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.source_path import SourcePath
from schemas.record import SUBJECT_LENGTH_MAX, SUBJECT_PATTERN

SUBJECT_FORM = f"1 to {SUBJECT_LENGTH_MAX} characters and no control characters"
"""What a subject must have, for errors."""

_SUBJECT = re.compile(SUBJECT_PATTERN)
_BRACES = re.compile(r"\{([^{}]*)\}")


class SubjectRule:
    """A rule such as ``{app}-{endpoint}``.

    Raises
    ------
    ValueError
        If a brace is not closed, a source is empty, or no value of the sources can give a subject.

    >>> SubjectRule("{app}-{endpoint}").build({"app": "shop", "endpoint": 5})
    'shop-5'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._names, sources = _BRACES.split(text)[::2], _BRACES.findall(text)
        if any("{" in name or "}" in name for name in self._names):
            raise ValueError(f'subject "{text}": write each source in braces, as in {{app}}-{{endpoint}}')
        fixed = "".join(self._names)
        if fixed and not is_subject(fixed):
            raise ValueError(f'subject "{text}": a subject must have {SUBJECT_FORM}')
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


def is_subject(text: str) -> bool:
    r"""Return whether a text has the form of a subject.

    >>> is_subject("support-bot"), is_subject("support\nbot")
    (True, False)
    """
    return len(text) <= SUBJECT_LENGTH_MAX and _SUBJECT.fullmatch(text) is not None
