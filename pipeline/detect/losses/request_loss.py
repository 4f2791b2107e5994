"""The loss of requests of one stream: fewer requests than its baseline and the time before lead one to expect.

The test is evaluated once for each minute of event time that has ended. It needs a baseline with requests per minute by
hour. Without one, an evening or the end of a batch job looks like a loss.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pipeline.detect.findings import Finding
from pipeline.detect.losses.request_level import RequestLevel
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DetectSettings, count_updates_due
from pipeline.detect.signals import catalogue, channels
from pipeline.detect.traffic import MinuteRequests, RequestProfile
from pipeline.wording import duration, number
from schemas.baseline import Baseline
from schemas.drift import MINUTE_MS, DriftState, Tier
from schemas.timestamp import LATEST_MS, clock_time

SIGNAL = next(signal for signal in catalogue.EVENTS if signal.name == "request_rate")

NULL_BOUNDARY = 0.57
"""Smallest share of the expected requests that is normal. On a weekend that a baseline of one day does not know, six
requests may arrive where a weekday has ten. The margin below that is for the error of the recent level."""

LOSS_GUESSES = (0.4, 0.2, 0.05)
"""Shares of the expected requests that the bets on a loss assume."""

RECOVERY_GUESSES = (0.65, 0.8, 1.0)
"""Shares of the expected requests that the bets on a recovery assume."""

RECOVERY_SHARE = 0.25
"""Position of the boundary of the recovery between the null boundary (0) and the share at firing (1), in logarithms."""

CAP_SHARE = 0.25
"""Share of a threshold that one minute may add. A test therefore fires after four minutes at the earliest."""

LEVEL_GAP_MINUTES = 60
"""Number of minutes without records after which the recent level is averaged again from the beginning."""

_GUESSES = range(len(LOSS_GUESSES))


class RequestLoss:
    """The test for a loss of requests of one stream, and its state from firing to recovery.

    Each minute is compared with the requests that its hour and the recent level lead one to expect.

    Parameters
    ----------
    settings
        False-alarm budget, threshold of a recovery, and times at which evidence is repeated.

    Attributes
    ----------
    SIGNAL_NAME
        Name of the signal of its findings.
    """

    SIGNAL_NAME: ClassVar = SIGNAL.name

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._threshold = OneSidedTest.fixed_threshold("ticket", 1000 / MINUTE_MS, settings)
        self._profile: RequestProfile | None = None
        self._signal = SIGNAL
        self._level = RequestLevel()
        self._open: _OpenRequestLoss | None = None
        self._reset_statistics()

    @property
    def is_open(self) -> bool:
        """Whether a loss has been found that has not ended."""
        return self._open is not None

    def apply_baseline(self, baseline: Baseline) -> None:
        """Expect the requests of a baseline from now on. The state does not change."""
        self._profile = RequestProfile.from_baseline(baseline)
        self._signal = channels.configure_event(SIGNAL, baseline.subject, self._settings)

    def observe(self, minutes: Iterable[MinuteRequests], silence_after_s: float | None) -> list[Finding]:
        """Test minutes in order. Return the findings.

        Parameters
        ----------
        silence_after_s
            Seconds without a record after which the stream is silent. Minutes of a silence are not tested.
        """
        profile = self._profile
        if profile is None:
            return []
        if self._signal.role == "off":
            return self._end(
                next((one.minute * MINUTE_MS for one in minutes), 0), "a rule in detect.signals excludes it"
            )
        findings: list[Finding] = []
        for one in minutes:
            if math.isnan(one.requests):
                self.reset()
                continue
            findings += self._add_minute(one, profile)
            if silence_after_s is not None and one.empty_after * MINUTE_MS >= silence_after_s * 1000:
                self._reset_statistics()
                if one.empty_after > LEVEL_GAP_MINUTES:
                    self._level.restart()
                continue
            for empty in range(one.minute + 1, one.minute + 1 + one.empty_after):
                findings += self._add_minute(MinuteRequests(empty, 0.0, 0.0, 0), profile)
        return findings

    def close(self, now_ms: int, *, accept: bool) -> list[Finding]:
        """End an open loss because another baseline is applied. Return its last finding.

        Parameters
        ----------
        accept
            Whether the recent level is the new normal.
        """
        findings = self._end(now_ms, "a new baseline is in use")
        self._level.apply_baseline(accept=accept)
        self._reset_statistics()
        return findings

    def _end(self, now_ms: int, reason: str) -> list[Finding]:
        loss, self._open = self._open, None
        if loss is None:
            return []
        return [self._finding(loss, "recovered", now_ms, f"the test of the request rate has ended: {reason}")]

    def reset(self) -> None:
        """Reset the evidence and the recent level after a gap in the records. A loss that was found stays open."""
        self._level.restart()
        self._reset_statistics()

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "level": self._level.dump(),
            "statistics": list(self._statistics),
            "started": list(self._started),
            "tallies": [list(tally) for tally in self._tallies],
            "open": None if self._open is None else list(self._open.dump()),
        }

    def load(self, state: dict[str, Any] | None) -> None:
        """Restore the state. Checkpoints of formats before 9 do not contain it."""
        if state is None:
            return
        self._level.load(state["level"])
        self._statistics, self._started = list(state["statistics"]), list(state["started"])
        self._tallies = [list(tally) for tally in state["tallies"]]
        self._open = None if state["open"] is None else _OpenRequestLoss(*state["open"])

    def _add_minute(self, one: MinuteRequests, profile: RequestProfile) -> list[Finding]:
        in_profile = profile.expected_at(one.minute)
        findings: list[Finding] = []
        if self._level.is_ready:
            expected = self._level.expect(in_profile, is_open=self.is_open)
            findings = self._test_minute(one.minute, one.requests, expected, profile.dispersion)
        evidence = math.inf if self.is_open else max(self._statistics)
        self._level.follow(one, in_profile, profile.dispersion, evidence=evidence, freeze_max=self._threshold)
        return findings

    def _test_minute(self, minute: int, requests: float, expected: float, dispersion: float) -> list[Finding]:
        spread = max(dispersion, self._level.weight)
        strongest = self._add_evidence(minute, requests, expected, spread)
        statistic = self._statistics[strongest]
        end_ms = min((minute + 1) * MINUTE_MS, LATEST_MS)
        if self._open is None:
            if statistic < self._threshold:
                return []
            return [self._fire(strongest, end_ms)]
        loss = self._open
        loss.add(requests, expected)
        tally = self._tallies[strongest]
        if statistic >= self._settings.recovery_evidence and tally[0] >= NULL_BOUNDARY * tally[1]:
            loss.since_message, loss.evidence = list(tally), statistic
            finding = self._finding(loss, "recovered", end_ms)
            self._open = None
            self._reset_statistics()
            return [finding]
        if not loss.is_update_due(end_ms, self._settings.evidence_after_s):
            return []
        return [self._finding(loss, "evidence", end_ms)]

    def _add_evidence(self, minute: int, requests: float, expected: float, spread: float) -> int:
        """Add the evidence of a minute, and return the bet with the highest statistic.

        The evidence is the log-likelihood ratio of two Poisson means, divided by the spread.
        """
        loss = self._open
        boundary = NULL_BOUNDARY if loss is None else loss.recovery_boundary
        threshold = self._threshold if loss is None else self._settings.recovery_evidence
        guesses = LOSS_GUESSES if loss is None else RECOVERY_GUESSES
        for index in _GUESSES:
            guess = guesses[index]
            evidence = (requests * math.log(guess / boundary) + (boundary - guess) * expected) / spread
            before = self._statistics[index]
            after = max(before + min(evidence, CAP_SHARE * threshold), 0.0)
            self._statistics[index] = after
            if after == 0.0:
                self._tallies[index] = [0.0, 0.0, 0.0]
                continue
            if before == 0.0:
                self._started[index] = minute
            tally = self._tallies[index]
            self._tallies[index] = [tally[0] + requests, tally[1] + expected, tally[2] + 1.0]
        return max(_GUESSES, key=self._statistics.__getitem__)

    def _fire(self, bet: int, end_ms: int) -> Finding:
        requests, expected, minutes = self._tallies[bet]
        loss = self._open = _OpenRequestLoss(
            started_at=self._started[bet] * MINUTE_MS,
            detected_at=end_ms,
            share=requests / expected,
            evidence=self._statistics[bet],
            requests=requests,
            since_message=[requests, expected, minutes],
            tier="cause" if self._signal.role == "cause" else "ticket",
        )
        self._reset_statistics()
        return self._finding(loss, "firing", end_ms)

    def _reset_statistics(self) -> None:
        self._statistics = [0.0 for _ in _GUESSES]
        self._started = [0 for _ in _GUESSES]
        self._tallies = [[0.0, 0.0, 0.0] for _ in _GUESSES]

    def _finding(self, loss: "_OpenRequestLoss", state: DriftState, at_ms: int, sentence: str = "") -> Finding:
        requests, expected, minutes = loss.since_message
        seconds = max(minutes, 1.0) * MINUTE_MS / 1000
        now, normal = requests / seconds, expected / seconds
        threshold = self._settings.recovery_evidence if state == "recovered" else self._threshold
        finding = Finding(
            signal=self._signal,
            channel="location",
            side="down",
            tier=loss.tier,
            detector="page_hinkley",
            state=state,
            sequence=loss.sequence,
            started_at=loss.started_at,
            detected_at=loss.detected_at,
            updated_at=max(at_ms, loss.detected_at),
            request_id=None,
            normal=normal,
            now=now,
            effect=now / normal if normal > 0.0 else 1.0,
            effect_kind="ratio",
            records=round(loss.requests),
            evidence=loss.evidence,
            threshold=threshold,
            sentence=sentence or _describe(loss, state, now, normal, at_ms, threshold),
        )
        loss.sequence += 1
        loss.since_message = [0.0, 0.0, 0.0]
        return finding


@dataclass(slots=True)
class _OpenRequestLoss:
    """A loss of requests that was found and has not ended. Times are Unix milliseconds.

    Attributes
    ----------
    share
        Requests as a share of the expected ones when it was found.
    requests
        Requests since the start.
    since_message
        Requests, expected requests and minutes since the last message.
    """

    started_at: int
    detected_at: int
    share: float
    evidence: float
    requests: float
    since_message: list[float]
    sequence: int = 0
    updates_due: int = 0
    tier: Tier = "ticket"

    @property
    def recovery_boundary(self) -> float:
        """Share of the expected requests that a recovery must exceed."""
        share = min(max(self.share, 0.01), NULL_BOUNDARY)
        return math.exp((1 - RECOVERY_SHARE) * math.log(NULL_BOUNDARY) + RECOVERY_SHARE * math.log(share))

    def add(self, requests: float, expected: float) -> None:
        """Add a minute."""
        self.requests += requests
        before = self.since_message
        self.since_message = [before[0] + requests, before[1] + expected, before[2] + 1.0]

    def is_update_due(self, now_ms: int, after_s: Iterable[float]) -> bool:
        """Return whether the evidence must be published again."""
        due = count_updates_due(now_ms - self.detected_at, after_s)
        is_due, self.updates_due = due > self.updates_due, max(due, self.updates_due)
        return is_due

    def dump(self) -> list[Any]:
        """Return the fields in order."""
        return [getattr(self, field.name) for field in fields(self)]


def _describe(
    loss: _OpenRequestLoss, state: DriftState, now: float, normal: float, at_ms: int, threshold: float
) -> str:
    normally = f"normally {number(normal)} at this hour ({100 * now / normal if normal else 100:.0f} %)"
    if state == "recovered":
        length = duration((at_ms - loss.started_at) / 1000)
        return f"requests returned to {number(now)} per second after {length}, {normally}"
    since = f"since {clock_time(loss.started_at)}"
    if state == "evidence":
        return f"requests are still at {number(now)} per second, {normally}, {since}; {loss.tier}"
    return f"requests fell to {number(now)} per second, {normally}, {since}; {loss.tier}: evidence {loss.evidence:.1f} of {threshold:g}"
