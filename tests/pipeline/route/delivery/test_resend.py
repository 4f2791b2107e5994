"""Open incidents are re-sent to an Alertmanager by the wall clock, without a trace in the notifications."""

import pytest

from pipeline.route import Delivery, RouteSettings, RouteStep
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

MINUTE_MS = 60_000
SENT = Delivery("sent", "", 1, STARTED, reference="labels")
AWAY = Delivery("retry", "cannot be reached", 1)
INCIDENT = "inc-3f9a21c0b7"


def build(wall_ms: int | None = STARTED, **settings: object) -> RouteStep:
    receivers = [
        {"name": "am", "alertmanager": {"urls": ["http://am-1:9093"]}},
        {"name": "console", "console": True},
    ]
    defaults = {"receivers": receivers, "default_receivers": ["am", "console"]}
    return RouteStep(RouteSettings.model_validate(defaults | settings), wall_ms)


def deliver(step: RouteStep, delivery: Delivery = SENT) -> list[str]:
    """Send everything that is due. Return the topics and keys of the outputs."""
    return [
        output.topic
        for dispatch in step.take_pending()
        for output in step.record_delivery(dispatch, delivery if dispatch.receiver == "am" else SENT)
    ]


def take(step: RouteStep) -> dict[str, list[tuple[str, int, str]]]:
    """Return incident, revision and reference of the re-sends that are due, by receiver."""
    return {
        resend.receiver: [
            (revision.incident_id, revision.revision, reference)
            for batch in resend.batches(10)
            for revision, reference in batch
        ]
        for resend in step.take_resends()
    }


def open_step(**settings: object) -> RouteStep:
    """A step with an open incident that both receivers know."""
    step = build(**settings)
    step.tick(STARTED)
    step.step([alert(incident())])
    deliver(step)
    return step


def test_an_open_incident_is_re_sent_every_interval_to_the_alertmanager_alone():
    step = open_step()
    times = []
    for second in range(1, 301):
        step.tick(STARTED + second * 1000)
        if step.has_pending():
            times.append(second)
            assert take(step) == {"am": [(INCIDENT, 1, "labels")]}
        assert not step.has_pending()
    assert times == [60, 120, 180, 240, 300]


def test_a_re_send_writes_nothing_and_does_not_change_the_state():
    step = open_step()
    list(step.changed())
    for minute in range(1, 200):
        assert step.tick(STARTED + minute * MINUTE_MS) == []
        assert take(step)
        assert list(step.changed()) == []
    # The repeat is due four hours after the notification, as without re-sends.
    step.tick(STARTED + 4 * 60 * MINUTE_MS)
    assert [dispatch.reason.code for dispatch in step.take_pending()] == ["repeat_interval"] * 2


def test_the_newest_state_is_re_sent():
    step = open_step()
    step.step([alert(incident(revision=2, change="newer numbers"), 1)])
    assert deliver(step) == []  # nothing to notify
    step.tick(STARTED + MINUTE_MS)
    assert take(step) == {"am": [(INCIDENT, 2, "labels")]}


@pytest.mark.parametrize("status", ["resolved", "merged"])
@pytest.mark.parametrize("delivery", [SENT, AWAY])
def test_the_re_sends_stop_with_the_incident_although_its_end_is_not_sent_yet(status, delivery):
    step = open_step()
    step.step([alert(incident(revision=2, status=status), 1)])
    deliver(step, delivery)
    step.tick(STARTED + MINUTE_MS)
    assert take(step) == {}


def test_an_incident_that_ends_after_its_re_send_became_due_is_not_re_sent():
    step = open_step()
    step.tick(STARTED + MINUTE_MS)
    assert step.has_pending()
    step.step([alert(incident(revision=2, status="resolved"), 1)])
    deliver(step)
    assert take(step) == {}
    assert not step.has_pending()


def test_an_incident_that_opens_again_is_re_sent_once_the_receiver_knows_it():
    step = open_step()
    step.step([alert(incident(revision=2, status="resolved"), 1)])
    deliver(step)
    step.step([alert(incident(revision=3), 2)])
    step.tick(STARTED + MINUTE_MS)
    assert take(step) == {}
    deliver(step)
    step.tick(STARTED + 2 * MINUTE_MS)
    assert take(step) == {"am": [(INCIDENT, 3, "labels")]}


@pytest.mark.parametrize("delivery", [AWAY, Delivery("failed", "answered 400", 1)])
def test_an_incident_that_the_receiver_has_not_accepted_is_not_re_sent(delivery):
    step = build()
    step.tick(STARTED)
    step.step([alert(incident())])
    deliver(step, delivery)
    step.tick(STARTED + MINUTE_MS)
    assert take(step) == {}


def test_a_silence_stops_no_re_sends_but_a_silenced_incident_is_not_announced_by_one():
    step = open_step()
    step.step([silence(at=STARTED, until=STARTED + 60 * MINUTE_MS)])
    step.step([alert(incident(incident_id="inc-silenced"), 1), alert(incident(revision=2, severity="P1"), 2)])
    assert deliver(step) == []
    for minute in range(1, 10):
        step.tick(STARTED + minute * MINUTE_MS)
        assert take(step) == {"am": [(INCIDENT, 2, "labels")]}


def test_after_a_restart_everything_open_is_re_sent_at_once_with_its_reference():
    step, state = open_step(), {}
    step.step([alert(incident(incident_id="inc-over"), 1)])
    deliver(step)
    step.step([alert(incident(incident_id="inc-over", revision=2, status="resolved"), 2)])
    deliver(step)
    apply_changes(state, step)
    restored = build(STARTED + 5000)
    assert list(restored.restore(state.items())) == []
    assert take(restored) == {}
    restored.tick(STARTED + 5000)
    assert take(restored) == {"am": [(INCIDENT, 1, "labels")]}
    restored.tick(STARTED + 5000 + MINUTE_MS - 1)
    assert take(restored) == {}
    restored.tick(STARTED + 5000 + MINUTE_MS)
    assert take(restored) == {"am": [(INCIDENT, 1, "labels")]}


def test_after_a_crash_during_the_first_notification_it_is_sent_again_and_not_re_sent():
    step, state = build(), {}
    step.step([alert(incident())])
    assert len(step.take_pending()) == 2
    apply_changes(state, step)
    restored = build()
    list(restored.restore(state.items()))
    restored.tick(STARTED + MINUTE_MS)
    assert take(restored) == {}
    assert {dispatch.receiver for dispatch in restored.take_pending()} == {"am", "console"}


def test_a_receiver_that_was_removed_is_not_sent_anything():
    step, state = open_step(), {}
    apply_changes(state, step)
    receivers = [{"name": "console", "console": True}]
    restored = build(receivers=receivers, default_receivers=["console"])
    list(restored.restore(state.items()))
    restored.tick(STARTED + MINUTE_MS)
    assert take(restored) == {}
    assert not restored.has_pending()


def test_a_receiver_that_no_route_selects_any_more_still_knows_the_incident():
    step, state = open_step(), {}
    apply_changes(state, step)
    restored = build(default_receivers=["console"])
    list(restored.restore(state.items()))
    restored.tick(STARTED)
    assert take(restored) == {"am": [(INCIDENT, 1, "labels")]}


def test_in_a_replay_nothing_is_re_sent():
    step = build(None)
    for minute in range(10):
        at = STARTED + minute * MINUTE_MS
        step.step([alert(incident(incident_id=f"inc-{minute}", updated_at=at), minute)])
        deliver(step)
        assert take(step) == {}


def test_a_busy_receiver_is_re_sent_later():
    step = open_step()
    step.tick(STARTED + MINUTE_MS)
    assert not step.has_pending(["am"])
    assert step.take_resends(["am"]) == []
    assert step.has_pending()
    assert take(step) == {"am": [(INCIDENT, 1, "labels")]}


def test_a_clock_that_goes_back_does_not_stop_the_re_sends():
    step = open_step()
    back = STARTED - 24 * 60 * MINUTE_MS
    step.tick(back)
    assert take(step) == {"am": [(INCIDENT, 1, "labels")]}
    step.tick(back + MINUTE_MS)
    assert take(step) == {"am": [(INCIDENT, 1, "labels")]}


def test_after_a_long_pause_one_re_send_is_due():
    step = open_step()
    step.tick(STARTED + 10 * MINUTE_MS)
    assert take(step)
    step.tick(STARTED + 10 * MINUTE_MS + 1000)
    assert take(step) == {}


def test_without_open_incidents_nothing_is_pending():
    step = build()
    for second in range(200):
        step.tick(STARTED + second * 1000)
        assert not step.has_pending()


def test_a_damaged_alert_does_not_stop_the_others():
    step, state = open_step(), {}
    step.step([alert(incident(incident_id="inc-damaged"), 1)])
    deliver(step)
    apply_changes(state, step)
    key = b"alert/inc-damaged"
    damaged = state[key].replace(b"failure_mode", b"failure_made")
    assert damaged != state[key]
    restored = build()
    assert list(restored.restore((state | {key: damaged}).items())) == []
    restored.tick(STARTED)
    assert take(restored) == {"am": [(INCIDENT, 1, "labels")]}


def test_the_dispatch_has_the_labels_of_the_configuration():
    rules = [
        {"labels": {"team": "platform"}},
        {"matchers": ['subject="support-bot"'], "labels": {"team": "support", "tier": "gold"}},
    ]
    step = build(labels=rules)
    step.step([alert(incident())])
    for dispatch in step.take_pending():
        assert dispatch.labels["team"] == ("support",)
        assert dispatch.labels["tier"] == ("gold",)
        assert dispatch.labels["subject"] == ("support-bot",)


def test_the_reference_of_the_first_notification_is_given_back():
    step = open_step()
    step.step([alert(incident(revision=2, severity="P1"), 1)])
    references = {dispatch.receiver: dispatch.reference for dispatch in step.take_pending()}
    assert references["am"] == "labels"
