"""The store that writes a step's state to a checkpoint and restores it. The state consists of parts with separate keys.

Each part records the settings on which its content depends, with their values. After a change of settings, the parts
that do not depend on the changed settings are kept, and the other parts are reset.

A step marks the names whose state changes. For a checkpoint, :meth:`PartStore.changed` requests the parts of the marked
names from the step and yields them as keys and values of a compacted topic, with tombstones for removed parts. After a
restart, :meth:`PartStore.read` reads the keys and values, and :meth:`PartStore.load` passes the states back to the
step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from pipeline.codec import FORMAT, Envelope, encode, read_envelope, read_format
from pipeline.wording import one_line

CHUNK_BYTES_MAX = 900_000
"""Maximum bytes of a value. A larger part is split, because the broker accepts at most one mebibyte per message."""

DOES_NOT_FIT = (ValueError, KeyError, TypeError, IndexError)
"""Errors that indicate a state from another version or a damaged state."""

State = dict[str, Any]

_NOT_RECORDED = object()


class NewerState(Exception):
    """A state that a newer version wrote. This version must not use or overwrite it."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"a newer version of driftwire wrote this state: it has format {found}, but this version reads formats 1 to "
            f"{FORMAT}. Nothing was changed. Stop this worker and start the newer version"
        )


@dataclass(frozen=True, slots=True)
class PartKind:
    """A kind of parts.

    Attributes
    ----------
    name
        Name of the kind. It consists of letters and underscores.
    settings
        Names of the settings on which the content depends. If one of them changes, parts of this kind are reset.
    since
        The oldest format whose content this version can read. Set it to the new format when the content changes.
    owner
        Singular noun for the owner of a part, which the name of the part identifies.
    """

    name: str
    settings: tuple[str, ...] = ()
    since: int = 1
    owner: str = "subject"


class Misfit(NamedTuple):
    """The reason why a part is reset. ``settings`` contains the names of the changed settings that caused it."""

    reason: str
    settings: tuple[str, ...] = ()


class RestoreOutcome(NamedTuple):
    """Result of a restore for the parts of one kind.

    Attributes
    ----------
    kind
        The kind.
    misfit
        The reason why the parts are reset. None if they are kept.
    owners
        Names of the owners of the parts.
    """

    kind: PartKind
    misfit: Misfit | None
    owners: frozenset[str]

    def __str__(self) -> str:
        """Return the outcome as one line.

        >>> str(RestoreOutcome(PartKind("learner"), Misfit("slices was 48 and is now 96"), frozenset({"bot"})))
        'learner: reset for 1 subject, because slices was 48 and is now 96'
        """
        count = f"{len(self.owners)} {self.kind.owner}{'' if len(self.owners) == 1 else 's'}"
        if self.misfit is None:
            return f"{self.kind.name}: kept for {count}"
        return f"{self.kind.name}: reset for {count}, because {self.misfit.reason}"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One part of a step's state.

    Attributes
    ----------
    kind
        Kind of the content, such as ``monitor`` or ``incident``. It consists of letters and underscores.
    name
        Name of the owner: a subject, an incident id, or empty.
    item
        Item, if there are several parts of this kind and name. It consists of letters, digits and hyphens.

    >>> Part("learner", "support-bot", "head").key(), Part("rows", "support-bot").key(chunk=1)
    (b'learner.head/support-bot', b'rows#1/support-bot')
    """

    kind: str
    name: str
    item: str = ""

    def __str__(self) -> str:
        """Return the key of the first chunk as a string."""
        return f"{self.kind}.{self.item}/{self.name}" if self.item else f"{self.kind}/{self.name}"

    def key(self, chunk: int = 0) -> bytes:
        """Return the key of a chunk."""
        if not chunk:
            return str(self).encode()
        start, _, name = str(self).partition("/")
        return f"{start}#{chunk}/{name}".encode()

    @classmethod
    def from_key(cls, key: bytes) -> tuple["Part", int]:
        """Parse a key. Return its part and chunk number.

        Raises
        ------
        ValueError
            If the key is not the key of a part.
        """
        start, slash, name = key.decode().partition("/")
        if not slash:
            raise ValueError(f"the key {key!r} is not the key of a part")
        kind_and_item, _, chunk = start.partition("#")
        kind, _, item = kind_and_item.partition(".")
        return cls(kind, name, item), int(chunk or 0)


class PartStore:
    """The parts of a step's state: the changed parts, and the parts in the checkpoint with their number of chunks.

    Parameters
    ----------
    kinds
        The kinds of parts of the step. Keys of other kinds are discarded.
    settings
        The current settings, by name, as values that JSON can represent.

    >>> store = PartStore([PartKind("rows")])
    >>> store.mark("rows", "bot")
    >>> [key for key, _ in store.changed(lambda kind, name: [(Part(kind, name), {"text": "x" * 1_000_000})])]
    [b'rows/bot', b'rows#1/bot']
    >>> store.mark("rows", "bot")
    >>> list(store.changed(lambda kind, name: [(Part(kind, name), None)]))
    [(b'rows/bot', None), (b'rows#1/bot', None)]
    """

    def __init__(self, kinds: Iterable[PartKind], settings: Mapping[str, Any] | None = None) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._settings = {
            kind.name: {name: (settings or {})[name] for name in kind.settings} for kind in self._kinds.values()
        }
        self._marked: set[tuple[str, str]] = set()
        self._chunk_counts: dict[str, dict[Part, int]] = {}
        self._tombstones: list[bytes] = []
        self._values: dict[Part, dict[int, bytes]] = {}
        self._warnings: list[str] = []
        self._outcomes: dict[tuple[str, Misfit | None], set[str]] = {}

    def mark(self, kind: str, *names: str) -> None:
        """Mark names as changed, so the next :meth:`changed` includes their parts."""
        self._marked.update((kind, name) for name in names)

    def mark_all(self, *kinds: str) -> None:
        """Mark the names of all parts of some kinds that are in the checkpoint as changed."""
        parts = (part for parts in self._chunk_counts.values() for part in parts)
        self._marked.update((part.kind, part.name) for part in parts if part.kind in kinds)

    def drop(self, name: str) -> None:
        """Remove all parts of a name from the next checkpoint."""
        for part, count in self._chunk_counts.pop(name, {}).items():
            self._tombstones += (part.key(chunk) for chunk in range(count))

    def changed(
        self, dump: Callable[[str, str], Iterable[tuple[Part, State | None]]]
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the keys and values that bring the checkpoint up to date; None is a tombstone.

        Parameters
        ----------
        dump
            Function that returns the marked parts of a kind and name, with their states. A state of None removes a part.
            If that part has no item, all items of the kind and name are removed.
        """
        for key in self._tombstones:
            yield key, None
        self._tombstones.clear()
        marked, self._marked = sorted(self._marked), set()
        for kind, name in marked:
            for part, state in dump(kind, name):
                yield from self._remove(part) if state is None else self._write(part, state)

    def read(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Read the keys and values of a checkpoint, in any order. Unknown keys are discarded.

        Raises
        ------
        NewerState
            If a newer version wrote any part. The state is then unchanged and must remain unchanged.
        """
        unknown = []
        entries = list(entries)
        newest = max((read_format(value) or 0 for _, value in entries), default=0)
        if newest > FORMAT:
            raise NewerState(newest)
        for key, value in entries:
            try:
                part, chunk = Part.from_key(key)
            except ValueError:
                part = None
            if part is None or part.kind not in self._kinds:
                unknown.append(key)
                continue
            self._values.setdefault(part, {})[chunk] = value
            counts = self._chunk_counts.setdefault(part.name, {})
            counts[part] = max(counts.get(part, 0), chunk + 1)
        if unknown:
            self.warn(f"{len(unknown)} keys are not parts of this state and are discarded, such as {min(unknown)!r}")
            self._tombstones += unknown

    def names(self) -> list[str]:
        """Return the names that have parts in the checkpoint."""
        return sorted(self._chunk_counts)

    def parts(self, kind: str) -> list[Part]:
        """Return the parts of a kind that were read but not loaded yet."""
        return sorted(part for part in self._values if part.kind == kind)

    def items(self, kind: str, name: str) -> list[Part]:
        """Return the parts of a kind and a name that are in the checkpoint."""
        return sorted(part for part in self._chunk_counts.get(name, ()) if part.kind == kind)

    def load(self, part: Part, load: Callable[[State], object]) -> bool:
        """Pass the state of a part to ``load``. Return False if there is no state or if it is reset or discarded."""
        chunks = self._values.pop(part, None)
        if chunks is None:
            return False
        try:
            envelope = self._open(part, chunks)
            misfit = self._find_misfit(part.kind, envelope)
            if misfit is None:
                load(envelope.decode())
        except DOES_NOT_FIT as problem:
            reason = f"it has no {problem}" if isinstance(problem, KeyError) else one_line(problem)
            self.warn(f"the state {part} is discarded: {reason}")
            self._discard(part)
            return False
        self._outcomes.setdefault((part.kind, misfit), set()).add(part.name)
        if misfit is not None:
            self._discard(part)
        return misfit is None

    def has_misfits(self) -> bool:
        """Return whether a part that was read must be reset or cannot be read, without loading it."""
        seen = set[tuple[str, bytes]]()
        for part, chunks in self._values.items():
            # Most parts of a kind begin with the same line.
            line, line_end, _ = chunks.get(0, b"").partition(b"\n")
            if line_end and (part.kind, line) in seen:
                continue
            try:
                misfit = self._find_misfit(part.kind, self._open(part, chunks))
            except ValueError:
                return True
            if misfit is not None:
                return True
            seen.add((part.kind, line))
        return False

    def take(self, name: str) -> list[tuple[bytes, bytes]]:
        """Return the keys and values that were read for a name, and do not load them."""
        chunks = ((part, self._values.pop(part, {})) for part in self._chunk_counts.get(name, ()))
        return [(part.key(number), value) for part, values in chunks for number, value in sorted(values.items())]

    def encode(self, part: Part, state: State) -> list[tuple[bytes, bytes]]:
        """Return the keys and values of the chunks of a state, as :meth:`read` accepts them."""
        value = encode(state, kind=part.kind, settings=self._settings[part.kind])
        starts = range(0, len(value), CHUNK_BYTES_MAX)
        return [(part.key(chunk), value[start : start + CHUNK_BYTES_MAX]) for chunk, start in enumerate(starts)]

    def is_reset(self, kind: str) -> bool:
        """Return whether parts of a kind were reset. The lines of :meth:`finish_restore` then give the reason."""
        return any(name == kind and misfit is not None for name, misfit in self._outcomes)

    def preview(self) -> list[RestoreOutcome]:
        """Return what a restore would do with the parts that were read, without loading them."""
        for part, chunks in self._values.items():
            try:
                misfit = self._find_misfit(part.kind, self._open(part, chunks))
            except ValueError as problem:
                misfit = Misfit(one_line(problem))
            self._outcomes.setdefault((part.kind, misfit), set()).add(part.name)
        return self._list_outcomes()

    def warn(self, line: str) -> None:
        """Add a warning about state that could not be restored."""
        self._warnings.append(line)

    def finish_restore(self) -> Iterator[str]:
        """Yield the warnings, and free the values that were read. If parts were reset, state which kinds are kept."""
        self._values.clear()
        warnings, self._warnings = self._warnings, []
        yield from warnings
        outcomes = self._list_outcomes()
        self._outcomes.clear()
        yield from (str(outcome) for outcome in outcomes if outcome.misfit is not None)
        if any(outcome.misfit is not None for outcome in outcomes):
            kept = [outcome.kind.name for outcome in outcomes if outcome.misfit is None]
            yield f"kept: {', '.join(kept) or 'nothing'}"

    def _open(self, part: Part, chunks: Mapping[int, bytes]) -> Envelope:
        envelope = read_envelope(b"".join(chunks[number] for number in sorted(chunks)))
        if envelope.kind != part.kind:
            raise ValueError(f"its kind is {envelope.kind}, not {part.kind}")
        return envelope

    def _find_misfit(self, kind: str, envelope: Envelope) -> Misfit | None:
        since = self._kinds[kind].since
        if envelope.format < since:
            return Misfit(f"it has format {envelope.format}, but this version reads it from format {since}")
        changes = {}
        if self._settings[kind] and not envelope.settings:
            return Misfit("the version that wrote it did not record its settings")
        for name, now in self._settings[kind].items():
            # A list that is newer than the part was empty.
            before = envelope.settings.get(name, [] if now == [] else _NOT_RECORDED)
            if before is _NOT_RECORDED:
                changes[name] = f"{name} was not recorded"
            elif before != now:
                changes[name] = _describe_change(name, _as_text(before), _as_text(now))
        return Misfit(", ".join(changes.values()), tuple(changes)) if changes else None

    def _list_outcomes(self) -> list[RestoreOutcome]:
        return [
            RestoreOutcome(self._kinds[kind], misfit, frozenset(owners))
            for (kind, misfit), owners in sorted(self._outcomes.items(), key=lambda item: (item[0][0], str(item[0][1])))
        ]

    def _discard(self, part: Part) -> None:
        """Remove a part from the next checkpoint, so later restores do not find it."""
        self._tombstones += (part.key(chunk) for chunk in range(self._chunk_counts[part.name].pop(part, 0)))

    def _write(self, part: Part, state: State) -> Iterator[tuple[bytes, bytes | None]]:
        chunks = self.encode(part, state)
        counts = self._chunk_counts.setdefault(part.name, {})
        count_before, counts[part] = counts.get(part, 0), len(chunks)
        yield from chunks
        for chunk in range(len(chunks), count_before):
            yield part.key(chunk), None

    def _remove(self, part: Part) -> Iterator[tuple[bytes, None]]:
        counts = self._chunk_counts.get(part.name, {})
        for stored in self.items(part.kind, part.name) if not part.item else [part]:
            for chunk in range(counts.pop(stored, 0)):
                yield stored.key(chunk), None
        if not counts:
            self._chunk_counts.pop(part.name, None)


def _describe_change(name: str, before: str, now: str) -> str:
    return f"{name} has other entries" if before == now else f"{name} was {before} and is now {now}"


def _as_text(value: Any) -> str:
    """Return a setting as text: a number as in the configuration, the number of tables, and anything else as JSON."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"a list of {len(value)}"
    return f"{value:g}" if isinstance(value, float) else orjson.dumps(value).decode()
