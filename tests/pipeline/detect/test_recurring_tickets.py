from dataclasses import replace

import pytest

from pipeline.detect.findings.finding import Finding
from pipeline.detect.monitor import Monitor
from pipeline.detect.recurring_tickets import DAY_MS, RecurringTickets
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.findings.test_sentence import LATENCY
from tests.pipeline.detect.worlds import START_MS, blocks, learned, normal_world

HOUR_MS = 3_600_000
REPLAY = DetectSettings(ready_after_s=600)


def ticket(at_ms: int, state: str = "firing", **changes: object) -> Finding:
    sentence = "latency_ms rose; ticket: evidence 22.1 of 22"
    return replace(LATENCY, tier="ticket", state=state, detected_at=at_ms, sentence=sentence, **changes)


def publish_nights(recurring: RecurringTickets, times_ms: list[int], **changes: object) -> list[str]:
    tiers = []
    for at_ms in times_ms:
        tiers.append(recurring.publish(ticket(at_ms, **changes)).tier)
        recurring.publish(ticket(at_ms, "recovered", **changes))
    return tiers


def test_the_third_ticket_at_the_same_time_of_day_is_a_cause_until_it_recovers():
    recurring = RecurringTickets()
    assert publish_nights(recurring, [DAY_MS, 2 * DAY_MS + HOUR_MS // 2]) == ["ticket", "ticket"]
    at_ms = 3 * DAY_MS - HOUR_MS // 4
    found = recurring.publish(ticket(at_ms))
    assert (found.tier, found.sentence) == (
        "cause",
        "latency_ms rose; no ticket, because it recurs at this time of day: evidence 22.1 of 22",
    )
    assert recurring.open_signals == {"latency_ms": 1}
    assert [recurring.publish(ticket(at_ms, state)).tier for state in ("evidence", "recovered")] == ["cause", "cause"]
    assert not recurring.open_signals


@pytest.mark.parametrize(
    "times_ms",
    [
        [DAY_MS, DAY_MS + HOUR_MS // 2, 2 * DAY_MS],  # Two of them are of one day.
        [DAY_MS, 2 * DAY_MS, 3 * DAY_MS + 2 * HOUR_MS],
        [DAY_MS, 2 * DAY_MS, 11 * DAY_MS],
    ],
    ids=["one day", "another hour", "long ago"],
)
def test_other_tickets_stay_tickets(times_ms):
    assert publish_nights(RecurringTickets(), times_ms) == ["ticket"] * 3


def test_a_weekly_rhythm_bridges_the_weekend():
    thursday, friday, monday = 0, DAY_MS, 4 * DAY_MS
    assert publish_nights(RecurringTickets(), [thursday, friday, monday]) == ["ticket", "ticket", "cause"]


def test_tickets_of_the_other_direction_and_pages_do_not_count():
    recurring = RecurringTickets()
    publish_nights(recurring, [DAY_MS, 2 * DAY_MS], side="down")
    assert recurring.publish(ticket(3 * DAY_MS)).tier == "ticket"
    pages = [replace(ticket(day * DAY_MS), tier="page") for day in range(1, 6)]
    assert [recurring.publish(page) for page in pages] == pages


def test_location_shape_and_segments_of_a_signal_are_one_habit():
    recurring = RecurringTickets()
    assert publish_nights(recurring, [DAY_MS], segment="tenant=batch") == ["ticket"]
    assert publish_nights(recurring, [2 * DAY_MS], channel="shape") == ["ticket"]
    assert publish_nights(recurring, [3 * DAY_MS]) == ["cause"]


def test_the_state_continues_between_any_two_findings():
    findings = [ticket(day * DAY_MS, state) for day in range(1, 6) for state in ("firing", "evidence", "recovered")]
    whole, parts = RecurringTickets(), RecurringTickets()
    for finding in findings:
        restored = RecurringTickets()
        restored.load(parts.dump())
        parts = restored
        assert parts.publish(finding) == whole.publish(finding)
    assert parts.dump() == whole.dump()


def test_what_is_remembered_is_bounded():
    recurring = RecurringTickets()
    for minute in range(0, 40 * 24 * 60, 10):
        at_ms = minute * 60_000
        recurring.publish(ticket(at_ms, segment=f"tenant={minute % 7}"))
        recurring.publish(ticket(at_ms, "recovered", segment=f"tenant={minute % 7}"))
    fired = recurring.dump()["fired"]
    assert len(fired) == 1
    assert max(len(times) for _, times in fired) <= 9 * 24


def test_a_monitor_tells_a_nightly_change_twice_and_then_has_no_open_alert():
    """Confidence is a little lower for five minutes at the same time on four nights."""
    monitor = Monitor(learned(normal_world(1, 40_000), REPLAY), REPLAY)
    nights = []
    for night in range(4):
        world = normal_world(10 + night, 40_000)
        world["confidence"][5000:20_000] -= 0.022
        found: list[Finding] = []
        has_alert = False
        for part in blocks(world, start_ms=START_MS + night * DAY_MS):
            found += monitor.observe(part)
            has_alert |= bool(monitor.open_alerts)
            restored = Monitor(monitor.baseline, REPLAY)
            restored.load(monitor.dump())
            monitor = restored
        fired = [finding for finding in found if finding.state == "firing"]
        nights.append(({(finding.signal.name, finding.tier) for finding in fired}, has_alert, monitor.is_idle))
    ticket_night, quiet_night = ({("confidence", "ticket")}, True, True), ({("confidence", "cause")}, False, True)
    assert nights == [ticket_night, ticket_night, quiet_night, quiet_night]
