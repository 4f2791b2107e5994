"""The parts of a unit's state: which key each lies under, and how a large one is cut to fit into messages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

CHUNK_BYTES = 900_000
"""Bytes of one value, well under what a broker takes."""

PARTITION_KEY = b""
"""What belongs to no subject."""

_BETWEEN = b"\x00"


def key_of(subject: str, part: str, chunk: int) -> bytes:
    r"""The key of one chunk of a part. A subject holds no control character, so no two keys are alike.

    >>> key_of("bot", "judge", 0)
    b'bot\x00judge\x000'
    """
    return _BETWEEN.join((subject.encode(), part.encode(), b"%d" % chunk))


def read_key(key: bytes) -> tuple[str, str, int]:
    """The subject, part and chunk of a key; ``ValueError`` if it is none of ours."""
    subject, part, chunk = key.split(_BETWEEN)
    return subject.decode(), part.decode(), int(chunk)


@dataclass(slots=True)
class Written:
    r"""The chunks of one unit's parts that lie in the checkpoint, so that what is gone can be taken back.

    >>> written = Written("bot")
    >>> [key for key, _ in written.put("rows", b"x" * 1_000_000)]
    [b'bot\x00rows\x000', b'bot\x00rows\x001']
    >>> [(key, value) for key, value in written.put("rows", b"x")]
    [(b'bot\x00rows\x000', b'x'), (b'bot\x00rows\x001', None)]
    """

    subject: str
    chunks: dict[str, int] = field(default_factory=dict)

    def put(self, part: str, value: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """The messages that write a part in place of what it was."""
        pieces = [value[start : start + CHUNK_BYTES] for start in range(0, len(value), CHUNK_BYTES)]
        before = self.chunks.get(part, 0)
        self.chunks[part] = len(pieces)
        for number, piece in enumerate(pieces):
            yield key_of(self.subject, part, number), piece
        for number in range(len(pieces), before):
            yield key_of(self.subject, part, number), None

    def drop(self, part: str) -> Iterator[tuple[bytes, None]]:
        """The messages that take a part back."""
        for number in range(self.chunks.pop(part, 0)):
            yield key_of(self.subject, part, number), None

    def drop_all(self) -> Iterator[tuple[bytes, None]]:
        """The messages that take everything back."""
        for part in list(self.chunks):
            yield from self.drop(part)


def joined(parts: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, dict[str, list[bytes]]], bytes | None, list[str]]:
    """Put chunks together again.

    Parameters
    ----------
    parts
        Keys and values in any order.

    Returns
    -------
    units
        By subject and part, the chunks in their order.
    partition
        The value of what belongs to no subject.
    problems
        One line for each key that is none of ours.
    """
    chunks: dict[str, dict[str, dict[int, bytes]]] = {}
    partition, problems = None, []
    for key, value in parts:
        if key == PARTITION_KEY:
            partition = value
            continue
        try:
            subject, part, number = read_key(key)
        except ValueError:
            problems.append(f"a part of the state lies under {key!r}, which names none: it is set aside")
            continue
        chunks.setdefault(subject, {}).setdefault(part, {})[number] = value
    units = {
        subject: {part: [pieces[number] for number in sorted(pieces)] for part, pieces in parts_of.items()}
        for subject, parts_of in chunks.items()
    }
    return units, partition, problems
