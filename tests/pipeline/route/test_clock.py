"""What was held back is sent when the obstacle ends, and open incidents are repeated, by ticks or in a replay by revisions."""

from datetime import datetime

import pytest

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.dead_letter import DeadLetter
from schemas.notification import Notification
from schemas.topics import ALERTS, DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

HOUR_MS = 3_600_000
SENT = Delivery("sent", "", 1, STARTED)
FAILED = Delivery("failed", "answered 400", 1)
SILENCED = "silenced by ana until 2026-11-24T04:12:00.000Z (silence-1)"


def settings(**fields):
    return RouteSettings.model_validate(fields)


def play(step, *inputs, delivery=SENT):
    """Give messages and ticks (Unix ms) to a step; return id, outcome, code and reason of the notifications."""
    notes = []
    for given in inputs:
        outputs = step.tick(given) if isinstance(given, int) else step.step([given])
        for dispatch in step.take_pending():
            outputs += step.record_delivery(dispatch, delivery)
        for output in outputs:
            if output.topic == NOTIFICATIONS:
                note = Notification.from_json(output.value)
                notes.append((note.notification_id.removeprefix("inc-"), note.outcome, note.reason_code, note.reason))
    return notes


def live(**fields):
    return RouteStep(settings(**fields), STARTED)


def test_what_a_silence_held_back_is_sent_when_it_ends():
    step = live()
    assert play(step, silence(), alert(incident())) == [("3f9a21c0b7:1:console", "suppressed", "silenced", SILENCED)]
    assert play(step, STARTED + HOUR_MS - 1) == []
    assert play(step, STARTED + HOUR_MS, STARTED + HOUR_MS + 1000) == [
        (
            "3f9a21c0b7:1.1:console",
            "sent",
            "silence_ended",
            f"new to the receiver: P3 open; delayed, because it was {SILENCED}",
        )
    ]


def test_what_is_no_longer_so_when_a_silence_ends_is_not_sent():
    step = live()
    play(step, silence(), alert(incident()), alert(incident(revision=2, status="resolved"), 1))
    assert play(step, STARTED + HOUR_MS) == []


def test_a_change_that_is_taken_back_during_a_silence_is_not_sent():
    step = live()
    play(step, alert(incident()), silence(), alert(incident(revision=2, severity="P2"), 1))
    assert play(step, alert(incident(revision=3), 2)) == [
        ("3f9a21c0b7:3:console", "suppressed", "no_change", "nothing new since revision 1: P3 open")
    ]
    assert play(step, STARTED + HOUR_MS) == []


def test_an_end_that_was_held_back_is_sent():
    step = live()
    play(step, alert(incident()), silence(), alert(incident(revision=2, status="resolved"), 1))
    [(notification_id, outcome, code, _)] = play(step, STARTED + HOUR_MS)
    assert (notification_id, outcome, code) == ("3f9a21c0b7:2.1:console", "sent", "silence_ended")


def test_a_silence_that_is_replaced_by_a_shorter_one_ends_early():
    step = live()
    play(step, silence(), alert(incident()), silence(1, until=STARTED + 60_000))
    assert play(step, STARTED + 60_000)[0][1:3] == ("sent", "silence_ended")


def test_a_second_obstacle_is_recorded_once_and_its_end_is_sent():
    step = live()
    longer = silence(1, command_id="silence-2", author="bob", at=STARTED + 60_000, until=STARTED + 2 * HOUR_MS)
    play(step, silence(), alert(incident()), longer)
    [(_, outcome, code, reason)] = play(step, STARTED + HOUR_MS, STARTED + HOUR_MS + 1000)
    assert (outcome, code) == ("suppressed", "silenced")
    assert reason.startswith("silenced by bob")
    assert play(step, STARTED + 2 * HOUR_MS)[0][2] == "silence_ended"


ROUTES = [{"name": "all", "receivers": ["console"], "mute_times": ["night"]}]
NIGHT = {"times": [{"start_time": "02:00", "end_time": "06:00"}], "location": "Europe/Berlin"}


def test_what_a_mute_time_held_back_is_sent_when_it_ends():
    step = live(routes=ROUTES, time_intervals={"night": NIGHT})
    morning = int(datetime.fromisoformat("2026-11-24T06:00+01:00").timestamp() * 1000)
    assert play(step, alert(incident()), morning - 1)[0][1:3] == ("suppressed", "muted")
    assert play(step, morning)[0][1:3] == ("sent", "mute_ended")


def test_what_was_inhibited_is_sent_when_the_source_is_over():
    step = live(inhibit=[{"source": ["subject=source"], "target": ["subject!=source"]}])
    play(step, alert(incident(incident_id="inc-source", subject="source")))
    assert play(step, alert(incident(), 1), STARTED + 1000)[0][1:3] == ("suppressed", "inhibited")
    play(step, alert(incident(incident_id="inc-source", subject="source", revision=2, status="resolved"), 2))
    assert [note[:3] for note in play(step, STARTED + 2000)] == [("3f9a21c0b7:1.1:console", "sent", "inhibition_ended")]


def test_an_open_incident_is_repeated_with_a_key_of_its_own_until_it_is_over():
    step = live(repeat_interval_s=60)
    ticks = range(STARTED, STARTED + 190_000, 1000)
    assert [note[:3] for note in play(step, alert(incident()), *ticks)] == [
        ("3f9a21c0b7:1:console", "sent", "first_notification"),
        ("3f9a21c0b7:1.1:console", "sent", "repeat_interval"),
        ("3f9a21c0b7:1.2:console", "sent", "repeat_interval"),
        ("3f9a21c0b7:1.3:console", "sent", "repeat_interval"),
    ]
    play(step, alert(incident(revision=2, status="resolved"), 1))
    assert play(step, STARTED + 10 * HOUR_MS) == []


def test_the_event_time_of_an_old_incident_neither_repeats_it_nor_revives_a_silence():
    step = RouteStep(settings(), STARTED + 10 * HOUR_MS)
    assert play(step, silence(), alert(incident()))[0][1:3] == ("sent", "first_notification")
    assert play(step, STARTED + 10 * HOUR_MS + 1000) == []


def test_a_repeat_that_fails_is_due_again_after_the_next_interval_with_a_new_key():
    step = live(repeat_interval_s=60)
    play(step, alert(incident()))
    failed = play(step, STARTED + 60_000, STARTED + 61_000, delivery=FAILED)
    assert [note[:3] for note in failed] == [("3f9a21c0b7:1.1:console", "failed", "receiver_failed")]
    assert play(step, STARTED + 119_000) == []
    assert play(step, STARTED + 120_000)[0][:2] == ("3f9a21c0b7:1.2:console", "sent")


def test_a_clock_that_goes_back_does_not_delay_a_repeat_further():
    step = RouteStep(settings(repeat_interval_s=60), STARTED + HOUR_MS)
    play(step, alert(incident()), STARTED + HOUR_MS + 1000)
    assert play(step, STARTED, STARTED + 59_000) == []
    assert play(step, STARTED + 60_000)[0][:3] == ("3f9a21c0b7:1.1:console", "sent", "repeat_interval")


def test_a_change_that_failed_is_sent_again_after_the_interval():
    step = live(repeat_interval_s=60)
    play(step, alert(incident()))
    play(step, alert(incident(revision=2, severity="P2"), 1), STARTED + 1000, delivery=FAILED)
    assert play(step, STARTED + 60_000)[0][:3] == ("3f9a21c0b7:2.1:console", "sent", "severity_changed")


def test_a_failure_on_the_clock_becomes_a_dead_letter_with_the_stored_alert():
    step, state = live(), {}
    play(step, silence(), alert(incident(), 7))
    apply_changes(state, step)
    restored = RouteStep(settings(), STARTED)
    assert list(restored.restore(state.items())) == []
    assert restored.tick(STARTED + HOUR_MS) == []
    assert restored.has_pending()
    [dispatch] = restored.take_pending()
    outputs = restored.record_delivery(dispatch, FAILED)
    [letter] = [DeadLetter.from_json(output.value) for output in outputs if output.topic == DEAD_LETTERS]
    assert (letter.topic, letter.offset) == (ALERTS, 7)


@pytest.mark.parametrize("until", [STARTED + HOUR_MS, STARTED + 8 * HOUR_MS])
def test_a_crash_before_the_checkpoint_repeats_the_decision_with_the_same_key(until):
    step, state = live(), {}
    play(step, alert(incident()), silence(until=until))
    if until == STARTED + HOUR_MS:
        play(step, alert(incident(revision=2, severity="P1"), 1))
    else:
        play(step, STARTED + 4 * HOUR_MS)
    apply_changes(state, step)
    ids = []
    for second in (0, 5):
        restored = RouteStep(settings(), until + second * 1000)
        assert list(restored.restore(state.items())) == []
        restored.tick(until + second * 1000)
        ids += [dispatch.notification_id for dispatch in restored.take_pending()]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_beyond_the_limit_the_oldest_alerts_are_dropped_and_wait_for_their_next_revision():
    step, state = live(stored_alerts_max=2, repeat_interval_s=60), {}
    play(step, silence(matchers=['environment="held"']))
    play(step, alert(incident(incident_id="inc-a", environment="held"), 0))
    for offset, name in enumerate("bcd", 1):
        play(step, alert(incident(incident_id=f"inc-{name}"), offset))
    apply_changes(state, step)
    assert sorted(key for key in state if key.startswith(b"alert/")) == [b"alert/inc-a", b"alert/inc-d"]
    assert [note[0] for note in play(step, STARTED + 60_000)] == ["d:1.1:console"]
    [(_, outcome, code, _)] = play(step, alert(incident(incident_id="inc-b", revision=2), 5))
    assert (outcome, code) == ("sent", "repeat_interval")


def test_the_alert_of_an_incident_that_is_over_is_removed():
    step, state = live(), {}
    play(step, alert(incident()))
    apply_changes(state, step)
    assert b"alert/inc-3f9a21c0b7" in state
    play(step, alert(incident(revision=2, status="resolved"), 1))
    apply_changes(state, step)
    assert b"alert/inc-3f9a21c0b7" not in state


def test_in_a_replay_the_clock_is_the_newest_event_time():
    step = RouteStep(settings())
    assert play(step, silence(), alert(incident()))[0][2] == "silenced"
    other = incident(incident_id="inc-b", subject="b", updated_at=STARTED + HOUR_MS)
    assert [note[:3] for note in play(step, alert(other, 1))] == [
        ("b:1:console", "sent", "first_notification"),
        ("3f9a21c0b7:1.1:console", "sent", "silence_ended"),
    ]
    late = incident(incident_id="inc-c", updated_at=STARTED)
    assert play(step, alert(late, 2))[0][2] == "first_notification"


def test_in_a_replay_the_clock_is_restored():
    step, state = RouteStep(settings()), {}
    play(step, silence(), alert(incident(incident_id="inc-b", subject="b", updated_at=STARTED + HOUR_MS)))
    apply_changes(state, step)
    restored = RouteStep(settings())
    assert list(restored.restore(state.items())) == []
    assert play(restored, alert(incident(), 1))[0][2] == "first_notification"


def test_the_alert_of_an_end_that_was_held_back_from_a_removed_receiver_is_dropped():
    receivers = [{"name": "console", "console": True}, {"name": "old", "console": True}]
    step, state = live(receivers=receivers, default_receivers=["old"]), {}
    play(step, alert(incident()), silence(), alert(incident(revision=2, status="resolved"), 1))
    apply_changes(state, step)
    restored = live()
    assert list(restored.restore(state.items())) == []
    restored.tick(STARTED + HOUR_MS)
    apply_changes(state, restored)
    assert [key for key in state if key.startswith(b"alert/")] == []


def test_what_is_held_back_from_a_receiver_that_was_removed_is_dropped():
    receivers = [{"name": "console", "console": True}, {"name": "old", "console": True}]
    step, state = live(receivers=receivers, default_receivers=["old"]), {}
    play(step, silence(), alert(incident()))
    apply_changes(state, step)
    restored = live()
    assert list(restored.restore(state.items())) == []
    assert play(restored, STARTED + HOUR_MS) == []
    assert play(restored, alert(incident(revision=2), 1))[0][:2] == ("3f9a21c0b7:2:console", "sent")
