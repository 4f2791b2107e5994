"""Silences, during which matching incidents are not sent. Silences arrive as commands."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.limit_use import LimitUse
from pipeline.route.matchers import Labels, Matcher, check_label_names, matches_all, parse_matchers
from pipeline.state import PartStore
from schemas.command import Command


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence, from ``start`` until just before ``until`` (Unix ms)."""

    silence_id: str
    author: str
    start: int
    until: int
    matcher_texts: tuple[str, ...]
    matchers: tuple[Matcher, ...]

    @classmethod
    def from_command(cls, command: Command, known_labels: Collection[str] | None) -> "Silence":
        """Read a silence from its command. ``known_labels`` is None to accept any label.

        Raises
        ------
        ValueError
            If it has no matchers, has no end, ends before it begins, or has an invalid matcher or an unknown label.
        """
        if command.until is None:
            raise ValueError("a silence needs an end: set until")
        if command.until <= command.at:
            raise ValueError("a silence must end after it begins: set until later than at")
        if not command.matchers:
            raise ValueError(
                'a silence without matchers would silence everything: add one, such as subject="support-bot"'
            )
        texts = tuple(command.matchers)
        matchers = parse_matchers(*texts)
        if known_labels is not None:
            check_label_names((matcher.label for matcher in matchers), known_labels)
        return cls(command.command_id, command.author, command.at, command.until, texts, matchers)

    def covers(self, labels: Labels, at: int) -> bool:
        """Return whether an incident with these labels is silenced at an event time (Unix ms)."""
        return self.start <= at < self.until and matches_all(self.matchers, labels)

    def dump(self) -> dict[str, Any]:
        """Return the state that :meth:`load` reads."""
        return {
            "silence_id": self.silence_id,
            "author": self.author,
            "start": self.start,
            "until": self.until,
            "matchers": list(self.matcher_texts),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], known_labels: Collection[str]) -> "Silence":
        """Restore a silence from :meth:`dump`.

        A silence with a label that was removed from the configuration is invalid, because ``!=`` would now match every
        incident.
        """
        texts = tuple(state["matchers"])
        matchers = parse_matchers(*texts)
        check_label_names((matcher.label for matcher in matchers), known_labels)
        return cls(state["silence_id"], state["author"], state["start"], state["until"], texts, matchers)


class Silences:
    """The stored silences.

    Parameters
    ----------
    limit
        Maximum number of silences. Beyond this number, the silences that end first are dropped.
    store
        Store in which changed silences are marked.
    known_labels
        Names of labels that matchers may have.
    """

    def __init__(self, limit: int, store: PartStore, known_labels: Collection[str]) -> None:
        self._limit = limit
        self._store = store
        self._known_labels = known_labels
        self._silences: dict[str, Silence] = {}
        self._dropped_count = 0
        self._active: tuple[int, list[Silence]] | None = None
        """The last time for which a silence was looked up, and the silences that apply then. Most silences are over."""

    def add(self, command: Command) -> None:
        """Add the silence of a command, replacing any silence with the same id.

        Raises
        ------
        ValueError
            As :meth:`Silence.from_command`.
        """
        silence = Silence.from_command(command, self._known_labels)
        self._silences[silence.silence_id] = silence
        self._active = None
        self._store.mark("silence", silence.silence_id)
        while len(self._silences) > self._limit:
            first = min(self._silences.values(), key=_end)
            self._dropped_count += 1
            del self._silences[first.silence_id]
            self._store.mark("silence", first.silence_id)

    def limit_use(self) -> LimitUse:
        """Return the use of the limit."""
        return LimitUse("silences_max", len(self._silences), self._limit, self._dropped_count)

    def find(self, labels: Labels, at: int) -> Silence | None:
        """Return the silence that covers an incident at an event time.

        If several silences cover it, return the one that ends last.
        """
        if self._active is None or self._active[0] != at:
            self._active = at, [silence for silence in self._silences.values() if silence.start <= at < silence.until]
        covering = [silence for silence in self._active[1] if silence.covers(labels, at)]
        return max(covering, key=_end, default=None)

    def next_change(self, at: int) -> float:
        """Return the earliest time after a time (Unix ms) at which a silence begins or ends, or infinity."""
        times = (time for silence in self._silences.values() for time in (silence.start, silence.until))
        return min((time for time in times if time > at), default=math.inf)

    def dump(self, silence_id: str) -> dict[str, Any] | None:
        """Return the state of one silence, or None if it was dropped."""
        silence = self._silences.get(silence_id)
        return None if silence is None else silence.dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state of one silence."""
        silence = Silence.load(state, self._known_labels)
        self._silences[silence.silence_id] = silence
        self._active = None


def _end(silence: Silence) -> tuple[int, str]:
    return silence.until, silence.silence_id
