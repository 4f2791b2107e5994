"""Tests that do not run, with the reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline
from schemas.drift import Direction, Tier


@dataclass(frozen=True, slots=True)
class NotTestable:
    """A test that does not run, with the reason."""

    SAMPLED_BY_OUTCOME: ClassVar = "its records are sampled by outcome"
    """Reason if the outcome of a request decides whether its record is kept, and the signal depends on the outcome."""

    EXCLUDED_BY_RULE: ClassVar = "a rule in detect.signals excludes it"
    """Reason if the settings no longer derive the test."""

    signal: Signal
    channel: ChannelName
    direction: Direction
    tier: Tier
    reason: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Signal, channel, direction and tier."""
        return self.signal.name, self.channel, self.direction, self.tier

    @classmethod
    def find(
        cls, key: tuple[Any, ...], not_testable: Iterable["NotTestable"], baseline: Baseline, settings: DetectSettings
    ) -> "NotTestable":
        """Return the test with a key that is not among the tests that run, because the settings have changed.

        It is one of ``not_testable``, or a test that a rule in ``detect.signals`` excludes.

        Raises
        ------
        ValueError
            If the baseline has no such channel.
        """
        for other in not_testable:
            if other.key == key:
                return other
        name, channel, direction, tier = key
        learned = baseline.signals.get(name)
        signal = None if learned is None else channels.find_signal(name, learned.kind, baseline.subject, settings)
        if learned is None or signal is None or channel not in learned.channels or tier not in get_args(Tier):
            raise ValueError(f"baseline {baseline.baseline_version} of {baseline.subject} has no test {key}")
        return cls(signal, channel, direction, tier, cls.EXCLUDED_BY_RULE)
