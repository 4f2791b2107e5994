"""The one-sided tests of a stream in little memory. A test is built when it is needed, for example for a finding."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, overload

import numpy as np

from pipeline.detect.one_sided_tests import BETS, CrossingKey, OneSidedTest
from pipeline.detect.shared_values import SHARED_MAX, share
from pipeline.detect.signals import ChannelName, Signal
from schemas.drift import Direction, Tier

_NUMBERS = ("null_boundary", "smallest_mean", "mean", "variance", "weight", "threshold")


class _TestedChange(NamedTuple):
    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier


class DerivedTests(Sequence[OneSidedTest]):
    """Tests as arrays of their numbers. What they test is in memory once for all streams that test the same.

    Parameters
    ----------
    tests
        The ``S`` tests.
    """

    __slots__ = ("_changes", "_numbers", "_stakes")

    def __init__(self, tests: Iterable[OneSidedTest]) -> None:
        tests = list(tests)
        self._changes = share(
            tuple(_TestedChange(test.signal, test.channel, test.direction, test.tier) for test in tests)
        )
        self._numbers = np.array([[getattr(test, name) for name in _NUMBERS] for test in tests], dtype=np.float64)
        self._stakes = np.array([test.stakes for test in tests], dtype=np.float64).reshape(-1, BETS)

    def __len__(self) -> int:
        return len(self._changes)

    @overload
    def __getitem__(self, index: int) -> OneSidedTest: ...

    @overload
    def __getitem__(self, index: slice) -> list[OneSidedTest]: ...

    def __getitem__(self, index: int | slice) -> OneSidedTest | list[OneSidedTest]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        signal, channel, direction, tier = self._changes[index]
        null_boundary, smallest_mean, mean, variance, weight, threshold = self._numbers[index].tolist()
        return OneSidedTest(
            signal=signal,
            channel=channel,
            direction=direction,
            tier=tier,
            null_boundary=null_boundary,
            smallest_mean=smallest_mean,
            stakes=self._stakes[index],
            mean=mean,
            variance=variance,
            weight=weight,
            threshold=threshold,
        )

    def __iter__(self) -> Iterator[OneSidedTest]:
        return (self[index] for index in range(len(self)))

    @property
    def keys(self) -> list[tuple[str, str, str, str]]:
        """The signal, channel, direction and tier of each test."""
        return [(change.signal.name, change.channel, change.direction, change.tier) for change in self._changes]

    def pairs(self, others: "DerivedTests", without: Container[str] = ()) -> list[tuple[int, int]]:
        """Return the index of each test that both have, here and in the other tests, ``without`` some signals."""
        theirs = others.indexes_by_key
        return [(index, theirs[key]) for index, key in enumerate(self.keys) if key in theirs and key[0] not in without]

    @property
    def indexes_by_crossing_key(self) -> Mapping[CrossingKey, int]:
        """The index of the last test with each signal, channel and direction. It must not be changed."""
        return _index_crossing_keys(self._changes)

    @property
    def indexes_by_key(self) -> Mapping[tuple[str, ...], int]:
        """The index of the test with each signal, channel, direction and tier. It must not be changed."""
        return _index_keys(self._changes)


@lru_cache(SHARED_MAX)
def _index_crossing_keys(changes: tuple[_TestedChange, ...]) -> dict[CrossingKey, int]:
    return {(change.signal.name, change.channel, change.direction): index for index, change in enumerate(changes)}


@lru_cache(SHARED_MAX)
def _index_keys(changes: tuple[_TestedChange, ...]) -> dict[tuple[str, ...], int]:
    return {
        (change.signal.name, change.channel, change.direction, change.tier): index
        for index, change in enumerate(changes)
    }
