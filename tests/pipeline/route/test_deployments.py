"""Deployments are owed to the receivers that want them, once each, and delay no incident."""

import json

import pytest

from pipeline.route import Delivery, Dispatch, NoticeDispatch, RouteSettings, RouteStep
from pipeline.step import RawMessage
from schemas.notice import Notice
from schemas.topics import DAY_MS, DEAD_LETTERS, DEPLOYMENTS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.pipeline.route.test_step import apply_changes

SENT = Delivery("sent", "", 1, STARTED)
REFUSED = Delivery("failed", "answered 404", 1)
PAGER = {"name": "pager", "pagerduty": {"routing_key": "key", "change_events": True}}


def settings(**changes):
    fields = {"receivers": [PAGER | changes], "default_receivers": ["pager"]}
    return RouteSettings.model_validate(fields)


def live(**changes):
    step = RouteStep(settings(**changes), STARTED)
    step.tick(STARTED)
    return step


def deployment(offset=0, appended_at=STARTED, **changes):
    fields = {"deployment_id": "d-1", "timestamp": STARTED, "kind": "prompt", "subject": "support-bot"}
    value = json.dumps(fields | changes).encode()
    return RawMessage(DEPLOYMENTS, 0, offset, appended_at, b"d-1", value)


def send(step, delivery=SENT):
    outputs = []
    for dispatch in step.take_pending():
        outputs += step.record_delivery(dispatch, delivery)
    return outputs


def notices(outputs):
    return [Notice.from_json(output.value) for output in outputs if output.topic == NOTIFICATIONS]


def test_a_deployment_is_sent_and_recorded_with_its_content():
    step = live()
    assert step.step([deployment(to_version="v42")]) == []
    [notice] = notices(send(step))
    assert (notice.kind, notice.name, notice.outcome, notice.reason_code) == ("deployment", "d-1", "sent", "deployed")
    assert notice.notification_id.startswith("deployment:d-1:")
    assert notice.change.deployment.to_version == "v42"
    assert not step.has_pending()


def test_a_deployment_of_several_subjects_is_sent_once():
    step = live()
    step.step([deployment(subject=["a", "b"])])
    [dispatch] = step.take_pending()
    assert dispatch.content.subjects == ["a", "b"]


def test_the_same_deployment_that_is_still_owed_is_sent_once_and_another_of_the_same_id_too():
    step = live()
    step.step([deployment(), deployment(1), deployment(2, subject="search")])
    keys = [dispatch.notification_id for dispatch in step.take_pending()]
    assert len(set(keys)) == len(keys) == 2


@pytest.mark.parametrize(
    ("at", "is_sent"),
    [(STARTED - DAY_MS, True), (STARTED - DAY_MS - 1, False), (STARTED + 300_000, True), (STARTED + 300_001, False)],
)
def test_a_deployment_that_is_too_old_or_in_the_future_is_not_sent(at, is_sent):
    step = live()
    assert step.step([deployment(timestamp=at)]) == []
    assert bool(step.take_pending()) == is_sent


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_message_that_cannot_be_read_is_left_to_correlate(value):
    step = live()
    assert step.step([RawMessage(DEPLOYMENTS, 0, 0, STARTED, None, value)]) == []
    assert not step.has_pending()


def test_without_change_events_nothing_is_sent():
    assert settings(pagerduty={"routing_key": "key"}).deployment_receivers == ()
    step = live(pagerduty={"routing_key": "key"})
    step.step([deployment()])
    assert not step.has_pending()


def test_a_deployment_is_owed_over_a_restart_with_the_same_key():
    step, state = live(), {}
    step.step([deployment()])
    [before] = step.take_pending()
    apply_changes(state, step)
    step = RouteStep(settings(), STARTED + 1000)
    assert list(step.restore(list(state.items()))) == []
    [after] = step.take_pending()
    assert (after.notification_id, after.content) == (before.notification_id, before.content)


def test_a_deployment_that_is_refused_is_dead_lettered_with_its_content_and_stops_no_incident():
    step = live()
    step.step([deployment()])
    step.step([alert(incident())])
    outputs = []
    for dispatch in step.take_pending():
        outputs += step.record_delivery(dispatch, REFUSED if isinstance(dispatch, NoticeDispatch) else SENT)
    failed = [output for output in outputs if output.topic == NOTIFICATIONS and b'"outcome":"failed"' in output.value]
    [notice] = [Notice.from_json(output.value) for output in failed]
    assert (notice.reason, notice.change.deployment.deployment_id) == ("answered 404", "d-1")
    assert len([output for output in outputs if output.topic == DEAD_LETTERS]) == 1
    assert not step.has_pending()


def test_many_deployments_do_not_delay_an_incident():
    step = live(messages_per_minute=2)
    step.step([deployment(number, deployment_id=f"d-{number}") for number in range(50)])
    step.step([alert(incident())])
    assert [type(dispatch) for dispatch in step.take_pending()] == [Dispatch, NoticeDispatch]
    step = live(messages_per_minute=1)
    step.step([deployment(number, deployment_id=f"d-{number}") for number in range(50)])
    step.step([alert(incident())])
    [dispatch] = step.take_pending()
    assert dispatch.notification_id == "inc-3f9a21c0b7:1:pager"
