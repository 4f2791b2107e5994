"""The encoded parts of a stream's state as one compressed value."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from pipeline.codec import join_values, split_values

Entry = tuple[bytes, bytes]


class PackedEntries(Sequence[Entry]):
    """Keys and values of the chunks of parts. They are unpacked at each use.

    Parameters
    ----------
    entries
        The keys and values, in order.
    """

    __slots__ = ("_content",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._content = join_values([content for entry in entries for content in entry])

    def __len__(self) -> int:
        return len(self._unpack())

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._unpack())

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._unpack()[index]

    @property
    def packed_bytes(self) -> int:
        """Number of bytes in memory."""
        return len(self._content)

    def _unpack(self) -> list[Entry]:
        contents = split_values(self._content)
        return list(zip(contents[::2], contents[1::2], strict=True))
