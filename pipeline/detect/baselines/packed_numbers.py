"""Lossless packing of the numbers of learners, baselines and the days of a history.

Records carry few decimals: a latency of 605.4 ms is 6054 tenths. As integers, the values of a signal take 10 to 15 bits
instead of 64. The knots of a baseline lie between two values, in steps of 1/512 of the last decimal. Numbers of any
other kind are stored by the bytes of the same place, of which the first ones repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cramjam
import numpy as np
from numpy.typing import DTypeLike, NDArray

from schemas.baseline import SignalKind

DECIMALS_MAX = 6
"""Maximum decimals of values that are stored as integers."""

KNOT_STEPS = 512
"""Number of steps in which a knot can lie between two values. Knots are the quantiles at 1/512, 2/512, ..."""

_KNOT_DECIMALS_MAX = 4
_OTHER_NUMBERS = 255
_BITS_MAX = 31
_KNOT_MAX = 2.0**40
_ROUNDING_MAX = 100
_POWERS = 10.0 ** np.arange(DECIMALS_MAX + 1)
_LEVEL = 3

_COLUMN = np.dtype([("size", "<u2"), ("decimals", "u1"), ("bits", "u1"), ("lowest", "<i4")])


def pack_values(columns: Sequence[NDArray[np.float64]]) -> bytes:
    """Pack the values of signals, one array per signal. :func:`unpack_values` restores them exactly.

    >>> packed = pack_values([np.array([605.4, 98.0]), np.zeros(0), np.array([1.0])])
    >>> [column.tolist() for column in unpack_values(packed)]
    [[605.4, 98.0], [], [1.0]]
    """
    header = np.zeros(len(columns), dtype=_COLUMN)
    header["size"] = [column.size for column in columns]
    if not header["size"].any():
        return _join(_compress_by_place(header))
    values, present = np.concatenate(columns), np.flatnonzero(header["size"])
    starts = np.cumsum(header["size"], dtype=np.intp) - header["size"]
    decimals = np.maximum.reduceat(_find_decimals(values), starts[present])
    integers = np.zeros(values.size, dtype=np.int64)
    is_other = np.repeat(decimals > DECIMALS_MAX, header["size"][present])
    scales = _POWERS[np.repeat(np.where(decimals > DECIMALS_MAX, 0, decimals), header["size"][present])]
    integers[~is_other] = np.rint(values[~is_other] * scales[~is_other]).astype(np.int64)
    lowest = np.minimum.reduceat(integers, starts[present])
    integers -= np.repeat(lowest, header["size"][present])
    highest = np.maximum.reduceat(integers, starts[present])
    header["decimals"][present] = np.where(decimals > DECIMALS_MAX, _OTHER_NUMBERS, decimals)
    header["lowest"][present] = lowest
    header["bits"][present] = np.ceil(np.log2(highest + 1.0)).astype(np.uint8)
    bits, shifts = _locate_bits(header)
    packed = np.packbits((integers[bits] >> shifts) & 1)
    return _join(_compress_by_place(header), packed.tobytes(), _compress_by_place(values[is_other].view(np.int64)))


def unpack_values(packed: bytes) -> list[NDArray[np.float64]]:
    """Return the columns that :func:`pack_values` packed."""
    content, *numbers = _split(packed)
    header = _decompress_by_place(content, _COLUMN)
    sizes = header["size"].astype(np.intp)
    if not numbers:
        return [np.zeros(0) for _ in sizes]
    bits, shifts = _locate_bits(header)
    is_set = np.unpackbits(np.frombuffer(numbers[0], dtype=np.uint8), count=bits.size)
    integers = np.bincount(bits, weights=is_set * (2.0**shifts), minlength=int(sizes.sum()))
    integers += np.repeat(header["lowest"], sizes)
    decimals = np.repeat(header["decimals"], sizes)
    is_other = decimals == _OTHER_NUMBERS
    values: NDArray[np.float64] = integers / _POWERS[np.where(is_other, 0, decimals)]
    values[is_other] = _decompress_by_place(numbers[1], np.int64).view(np.float64)
    return np.split(values, np.cumsum(sizes)[:-1])


def pack_knots(columns: Sequence[NDArray[np.float64]]) -> bytes:
    """Pack the knots of signals, one array per signal. :func:`unpack_knots` restores them exactly."""
    parts = [np.array([column.size for column in columns], dtype="<u4").tobytes()]
    for column in columns:
        parts += _pack_column(column)
    return _join(*parts)


def unpack_knots(packed: bytes) -> list[NDArray[np.float64]]:
    """Return the columns that :func:`pack_knots` packed."""
    sizes, *parts = _split(packed)
    columns = []
    for index in range(len(sizes) // 4):
        kind, steps, rounding = parts[3 * index : 3 * index + 3]
        numbers = np.cumsum(_decompress_by_place(steps, np.int64))
        if kind[0] == _OTHER_NUMBERS:
            columns.append(numbers.view(np.float64))
            continue
        approximate = numbers / (KNOT_STEPS * _POWERS[kind[0]])
        columns.append((approximate.view(np.int64) + _decompress_by_place(rounding, np.int8)).view(np.float64))
    return columns


def _pack_column(knots: NDArray[np.float64]) -> tuple[bytes, bytes, bytes]:
    """Return the decimals of knots, the differences of their multiples, and the differences due to rounding."""
    for decimals in range(_KNOT_DECIMALS_MAX + 1):
        scale = KNOT_STEPS * _POWERS[decimals]
        with np.errstate(over="ignore"):
            steps = np.rint(knots * scale)
        if not (np.abs(steps) < _KNOT_MAX).all() or _is_negative_zero(knots).any():
            break
        rounding = knots.view(np.int64) - (steps / scale).view(np.int64)
        if (np.abs(rounding) <= _ROUNDING_MAX).all():
            return (
                bytes([decimals]),
                _compress_by_place(np.diff(steps.astype(np.int64), prepend=0)),
                _compress_by_place(rounding.astype(np.int8)),
            )
    return bytes([_OTHER_NUMBERS]), _compress_by_place(np.diff(knots.view(np.int64), prepend=0)), b""


def _find_decimals(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the number of decimals of each value, or more than the maximum for a value that is not stored as one."""
    decimals = np.full(values.size, DECIMALS_MAX + 1)
    missing = np.flatnonzero(np.isfinite(values) & ~_is_negative_zero(values))
    for number, power in enumerate(_POWERS.tolist()):
        with np.errstate(over="ignore"):
            integers = np.rint(values[missing] * power)
        is_exact = (integers / power == values[missing]) & (np.abs(integers) < 2.0 ** (_BITS_MAX - 1))
        decimals[missing[is_exact]] = number
        missing = missing[~is_exact]
        if not missing.size:
            break
    return decimals


def _is_negative_zero(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    is_negative_zero: NDArray[np.bool_] = np.signbit(values) & (values == 0.0)
    return is_negative_zero


def _locate_bits(header: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the value to which each bit belongs, and the place of the bit in the value, from the lowest."""
    widths = np.repeat(header["bits"].astype(np.intp), header["size"])
    values = np.repeat(np.arange(widths.size), widths)
    return values, np.arange(values.size) - np.repeat(np.cumsum(widths) - widths, widths)


def _compress_by_place(numbers: NDArray[Any]) -> bytes:
    """Compress the first bytes of all items, then the second bytes, and so on."""
    if not numbers.size:
        return b""
    by_place = numbers.view(np.uint8).reshape(numbers.size, -1).T
    return bytes(cramjam.zstd.compress(by_place.tobytes(), _LEVEL))


def _decompress_by_place(content: bytes, dtype: DTypeLike) -> NDArray[Any]:
    if not content:
        return np.zeros(0, dtype=dtype)
    by_place = np.frombuffer(bytes(cramjam.zstd.decompress(content)), dtype=np.uint8)
    return by_place.reshape(np.dtype(dtype).itemsize, -1).T.copy().view(dtype).ravel()


def _join(*parts: bytes) -> bytes:
    """Return parts as one value: their number, their lengths, and the parts."""
    return np.array([len(parts), *map(len, parts)], dtype="<u4").tobytes() + b"".join(parts)


def _split(value: bytes) -> list[bytes]:
    count = int.from_bytes(value[:4], "little")
    lengths = np.frombuffer(value, dtype="<u4", count=count, offset=4)
    ends = 4 * (count + 1) + np.cumsum(lengths, dtype=np.intp)
    return [value[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class HistoryDay:
    """The hours of one day.

    Attributes
    ----------
    hours
        The numbers of the hours, ascending.
    names, kinds
        The signals.
    numbers
        Packed: the values of each signal over all hours; then, each with the shape ``(hours, signals)``, the number of
        these values, and the number and the sum of all values of the hour.
    """

    hours: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[SignalKind, ...]
    numbers: bytes

    def unpack(self) -> list["HistoryHour"]:
        """Return the hours."""
        *values, sizes, counts, sums = unpack_values(self.numbers)
        shape = len(self.hours), len(self.names)
        ends = np.cumsum(sizes.reshape(shape).astype(np.intp), axis=0)
        columns = [np.split(column, ends[:-1, index]) for index, column in enumerate(values)]
        return [
            HistoryHour(
                number, [column[row] for column in columns], counts.reshape(shape)[row], sums.reshape(shape)[row]
            )
            for row, number in enumerate(self.hours)
        ]

    @classmethod
    def pack(
        cls, hours: Sequence["HistoryHour"], names: tuple[str, ...], kinds: tuple[SignalKind, ...]
    ) -> "HistoryDay":
        """Pack hours. Signals that came later than an hour have no values in it."""
        wide = [hour.widen(len(names)) for hour in hours]
        values = [np.concatenate([hour.values[index] for hour in wide]) for index in range(len(names))]
        sizes = np.array([[column.size for column in hour.values] for hour in wide], dtype=np.float64)
        counts, sums = (np.array([getattr(hour, name) for hour in wide]) for name in ("counts", "sums"))
        numbers = pack_values([*values, sizes.ravel(), counts.ravel(), sums.ravel()])
        return cls(tuple(hour.number for hour in hours), names, kinds, numbers)


@dataclass(frozen=True, slots=True)
class HistoryHour:
    """One hour: its number, some values of each signal in order, and the number and the sum of all values, shape ``(S,)``."""

    number: int
    values: list[NDArray[np.float64]]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]

    def widen(self, width: int) -> "HistoryHour":
        missing = width - self.counts.size
        if not missing:
            return self
        values = [*self.values, *(np.zeros(0) for _ in range(missing))]
        return HistoryHour(self.number, values, np.pad(self.counts, (0, missing)), np.pad(self.sums, (0, missing)))

    def thin_out(self, limit: int) -> "HistoryHour":
        """Return the hour with at most ``limit`` values of each signal: every second, every fourth and so on."""
        return replace(self, values=[column[:: _stride(column.size, limit)] for column in self.values])


def _stride(size: int, limit: int) -> int:
    """Return the smallest power of two that leaves at most ``limit`` of ``size`` values.

    >>> _stride(32, 32), _stride(20, 16), _stride(32, 4)
    (1, 2, 8)
    """
    stride = 1
    while -(-size // stride) > limit:
        stride *= 2
    return stride
