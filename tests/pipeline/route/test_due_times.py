"""Only what can have changed is decided again, and the decisions are those of deciding everything again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_model import ESCALATION, INHIBIT, INTERVALS, name_routes, routes
from tests.pipeline.route.test_owed_property import ANSWERS, RECEIVERS
from tests.pipeline.route.test_step import apply_changes

HOUR_MS = 3_600_000


class ExhaustiveStep(RouteStep):
    """A step that decides again on all stored incidents."""

    def _decide_due(self):
        return [output for name, one in self._log.incidents_with_alert() for output in self._decide_again(name, one)]


class CountingStep(RouteStep):
    """A step that counts the incidents that it decides again."""

    decided = 0

    def _decide_again(self, incident_id, notified):
        self.decided += 1
        return super()._decide_again(incident_id, notified)


def replayed(count, gap_ms=1000, **fields):
    """A step of a replay after a revision of each of many incidents, none of which was sent yet."""
    step = CountingStep(RouteSettings.model_validate(fields))
    revisions = [incident(incident_id=f"inc-{number}", updated_at=STARTED + gap_ms * number) for number in range(count)]
    step.step([alert(revision, offset) for offset, revision in enumerate(revisions)])
    return step


def deliver(step):
    outputs = []
    while dispatches := step.take_pending():
        for dispatch in dispatches:
            outputs += step.record_delivery(dispatch, Delivery("sent", "", 1, STARTED))
    return [Notification.from_json(output.value) for output in outputs if output.topic == NOTIFICATIONS]


def test_a_revision_in_a_replay_does_not_decide_again_on_all_that_is_owed():
    assert replayed(300).decided <= 1


def test_a_tick_does_not_decide_again_on_all_that_is_owed():
    step = CountingStep(RouteSettings(), STARTED)
    step.step([alert(incident(incident_id=f"inc-{number}"), number) for number in range(300)])
    step.tick(STARTED + 1000)
    step.decided = 0
    for second in range(2, 60):
        step.tick(STARTED + 1000 * second)
    assert step.decided == 0


def test_each_repeat_of_a_replay_is_decided_once():
    step = replayed(100)
    assert len(deliver(step)) == 100
    step.decided = 0
    last = STARTED + 5 * HOUR_MS
    for number in range(100):
        step.step([alert(incident(incident_id="other", revision=number + 1, updated_at=last + number), 100 + number)])
    assert {note.reason_code for note in deliver(step)} == {"repeat_interval", "first_notification"}
    assert step.decided <= 202


def test_the_end_of_a_silence_decides_again_on_what_it_held_back():
    step = CountingStep(RouteSettings())
    step.step([silence(), *(alert(incident(incident_id=f"inc-{number}"), number) for number in range(100))])
    step.decided = 0
    over = [incident(incident_id="other", subject="x", updated_at=STARTED + HOUR_MS + number) for number in range(9)]
    step.step([alert(revision, 100 + offset) for offset, revision in enumerate(over)])
    assert sum(note.reason_code == "silence_ended" for note in deliver(step)) == 100
    assert step.decided <= 202


def test_a_silence_that_is_shortened_at_the_end_of_a_replay_releases_what_it_held_back():
    step = RouteStep(RouteSettings())
    step.step([silence(), alert(incident())])
    assert deliver(step) == []
    step.step([silence(1, until=STARTED + 1000)])
    assert [note.reason_code for note in deliver(step)] == ["silence_ended"]


EVENT = st.one_of(
    st.fixed_dictionaries(
        {
            "incident_id": st.sampled_from("pqr"),
            "severity": st.sampled_from(["P1", "P2", "P3"]),
            "status": st.sampled_from(["open", "open", "acknowledged", "resolved"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "command_id": st.sampled_from("st"),
            "matchers": st.sampled_from([['subject="x"'], ["incident_id=q"], ['severity=~"P2|P3"']]),
            "hours": st.integers(-20, 30),
        }
    ),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 3600, 20_000, 100_000, -3600]),  # seconds since the last event
        EVENT,
        st.lists(st.sampled_from(sorted(ANSWERS)), max_size=4),
        st.booleans(),  # whether the worker restarts
    ),
    min_size=1,
    max_size=16,
)


def read_event(event, now, offset, revisions):
    if "incident_id" in event:
        name = event["incident_id"]
        revisions[name] = revisions.get(name, 0) + 1
        subject = "y" if name == "q" else "x"
        return alert(incident(**event, revision=revisions[name], subject=subject, updated_at=max(1, now)), offset)
    fields = {"command_id": event["command_id"], "matchers": event["matchers"]}
    return silence(offset, **fields, at=now - 21 * HOUR_MS, until=now + event["hours"] * HOUR_MS)


@pytest.mark.parametrize("wall_ms", [None, STARTED], ids=["replay", "live"])
@fuzz_settings
@given(
    tree=routes(1),
    inhibit=st.lists(INHIBIT, max_size=2),
    escalations=st.lists(ESCALATION, max_size=2),
    events=EVENTS,
)
def test_the_decisions_are_those_of_deciding_everything_again(wall_ms, tree, inhibit, escalations, events):
    receivers = [{"name": "a", "console": True, "fallback": "chat"}, {"name": "b", "console": True}]
    receivers += [{"name": "c", "console": True, "send_resolved": False, "fallback": "b", "fallback_after_s": 4000}]
    settings = RouteSettings.model_validate(
        {
            "receivers": [*RECEIVERS, *receivers],
            "default_receivers": ["a", "pager"],
            "routes": name_routes(tree),
            "inhibit": inhibit,
            "escalations": [rule | {"name": f"e{index}"} for index, rule in enumerate(escalations)],
            "time_intervals": {name: fields for name, (fields, _) in INTERVALS.items()},
            "labels": [{"matchers": ["subject=x"], "labels": {"team": "red"}}],
            "repeat_interval_s": 72_000,
        }
    )
    steps = [kind(settings, wall_ms) for kind in (RouteStep, ExhaustiveStep)]
    states, revisions, now = [{}, {}], {}, STARTED
    for offset, (seconds, event, answers, is_restarted) in enumerate(events):
        now += 1000 * seconds
        message = read_event(event, now, offset, revisions)
        outputs = [step.step([message]) for step in steps]
        assert outputs[0] == outputs[1]
        if wall_ms is not None:
            ticked = [step.tick(now) for step in steps]
            assert ticked[0] == ticked[1]
        pending = [step.take_pending() for step in steps]
        assert pending[0] == pending[1]
        for dispatch, answer in zip(pending[0], answers, strict=False):
            recorded = [step.record_delivery(dispatch, ANSWERS[answer]) for step in steps]
            assert recorded[0] == recorded[1]
        for state, step in zip(states, steps, strict=True):
            apply_changes(state, step)
        assert states[0] == states[1]
        if is_restarted:
            steps = [kind(settings, wall_ms and now) for kind in (RouteStep, ExhaustiveStep)]
            for state, step in zip(states, steps, strict=True):
                assert list(step.restore(list(state.items()))) == []
