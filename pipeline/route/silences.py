"""Silences: for a while, incidents that match are not sent. A command brings them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.route.matchers import Matcher, match_all, parse_matchers
from pipeline.state import PartStore
from schemas.command import Command


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence, from ``start`` to ``until`` (Unix ms), which is over at ``until`` itself."""

    silence_id: str
    author: str
    start: int
    until: int
    texts: tuple[str, ...]
    matchers: tuple[Matcher, ...]

    @classmethod
    def from_command(cls, command: Command) -> "Silence":
        """Read a silence from its command.

        Raises
        ------
        ValueError
            If it matches everything, has no end, ends before it begins, or has a matcher that cannot be read.
        """
        if command.until is None:
            raise ValueError("a silence needs an end: set until")
        if command.until <= command.at:
            raise ValueError("a silence ends after it begins: set until later than at")
        if not command.matchers:
            raise ValueError('a silence needs matchers, such as subject="support-bot": it would silence everything')
        matchers = tuple(matcher for text in command.matchers for matcher in parse_matchers(text))
        return cls(command.command_id, command.author, command.at, command.until, tuple(command.matchers), matchers)

    def covers(self, labels: Mapping[str, str], at: int) -> bool:
        """Whether an incident with these labels is silenced at this event time (Unix ms)."""
        return self.start <= at < self.until and match_all(self.matchers, labels)

    def dump(self) -> dict[str, Any]:
        """The state of it, as JSON."""
        return {
            "silence_id": self.silence_id,
            "author": self.author,
            "start": self.start,
            "until": self.until,
            "matchers": list(self.texts),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Silence":
        """Take up what :meth:`dump` gave."""
        texts = tuple(state["matchers"])
        matchers = tuple(matcher for text in texts for matcher in parse_matchers(text))
        return cls(state["silence_id"], state["author"], state["start"], state["until"], texts, matchers)


class Silences:
    """All silences that may still matter.

    Parameters
    ----------
    limit
        How many are kept; beyond it, the one that ends first goes first.
    store
        Where changed silences are marked.
    """

    def __init__(self, limit: int, store: PartStore) -> None:
        self._limit = limit
        self._store = store
        self._silences: dict[str, Silence] = {}

    def add(self, silence: Silence) -> None:
        """Take a silence; one with the same id is replaced."""
        self._silences[silence.silence_id] = silence
        self._store.mark("silence", silence.silence_id)
        while len(self._silences) > self._limit:
            first = min(self._silences.values(), key=lambda one: (one.until, one.silence_id))
            del self._silences[first.silence_id]
            self._store.mark("silence", first.silence_id)

    def covering(self, labels: Mapping[str, str], at: int) -> Silence | None:
        """The silence that covers an incident at an event time: of several, the one that lasts longest."""
        covering = [silence for silence in self._silences.values() if silence.covers(labels, at)]
        return max(covering, key=lambda one: (one.until, one.silence_id), default=None)

    def dump(self, silence_id: str) -> dict[str, Any] | None:
        """Return the state of one silence; None if it was dropped."""
        silence = self._silences.get(silence_id)
        return None if silence is None else silence.dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state of one silence."""
        silence = Silence.load(state)
        self._silences[silence.silence_id] = silence
