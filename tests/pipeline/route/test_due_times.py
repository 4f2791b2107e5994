"""Only what can have changed is decided again, and the decisions are those of deciding everything again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_owed_property import ANSWERS
from tests.pipeline.route.test_step import apply_changes

HOUR_MS = 3_600_000


class ExhaustiveStep(RouteStep):
    """A step that decides again on all stored incidents."""

    def _decide_due(self):
        return [output for name, one in self._log.with_alert() for output in self._decide_again(name, one)]


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


RECEIVERS = [
    {"name": "pager", "console": True, "fallback": "chat", "fallback_after_s": 100, "messages_per_minute": 5},
    {"name": "chat", "console": True, "fallback": "log", "fallback_after_s": 4000},
    {"name": "log", "console": True, "send_resolved": False},
    {"name": "boss", "console": True},
]
NAMES = [receiver["name"] for receiver in RECEIVERS]
MATCHERS = [[], ['severity="P1"'], ["subject=x"], ["team=red"], ['subject="y"']]
INTERVALS = {
    "morning": {"times": [{"start_time": "03:00", "end_time": "03:20"}, {"start_time": "05:00", "end_time": "09:00"}]},
    "month": {"days_of_month": ["25:-1"]},
}
ROUTE = st.fixed_dictionaries(
    {
        "matchers": st.sampled_from(MATCHERS),
        "receivers": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
        "continue": st.booleans(),
        "mute_times": st.sampled_from([[], [], ["morning"], ["month"]]),
        "active_times": st.sampled_from([[], [], [], ["morning"]]),
        "repeat_interval_s": st.sampled_from([None, 600, 5000]),
        "group_by": st.sampled_from([None, None, ["subject"]]),
        "group_wait_s": st.sampled_from([None, 90]),
    }
)
INHIBIT = st.fixed_dictionaries(
    {
        "source": st.sampled_from(MATCHERS[1:]),
        "target": st.sampled_from(MATCHERS[1:]),
        "equal": st.sampled_from([[], ["subject"]]),
    }
)
ESCALATION = st.fixed_dictionaries(
    {
        "matchers": st.sampled_from(MATCHERS),
        "after_s": st.sampled_from([60, 900]),
        "receivers": st.sampled_from([["boss"], ["boss", "log"]]),
    }
)
EVENT = st.one_of(
    st.fixed_dictionaries(
        {
            "incident_id": st.sampled_from("pqr"),
            "severity": st.sampled_from(["P1", "P2", "P3"]),
            "status": st.sampled_from(["open", "open", "open", "acknowledged", "resolved"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "command_id": st.sampled_from("st"),
            "matchers": st.sampled_from(MATCHERS[1:]),
            "seconds": st.sampled_from([-10, 1, 100, 1000, 6000]),
        }
    ),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 90, 700, 1000, 3600, 20_000, -100]),  # seconds since the last event
        EVENT,
        st.lists(st.sampled_from(["sent", "sent", *sorted(ANSWERS)]), max_size=5),
        st.sampled_from([False, False, False, True]),  # whether the worker restarts
    ),
    min_size=5,
    max_size=20,
)


def read_event(event, now, offset, revisions):
    if "incident_id" in event:
        name = event["incident_id"]
        revisions[name] = revisions.get(name, 0) + 1
        subject = "y" if name == "q" else "x"
        return alert(incident(**event, revision=revisions[name], subject=subject, updated_at=now), offset)
    fields = {"command_id": event["command_id"], "matchers": event["matchers"]}
    return silence(offset, **fields, at=now - 3_600_000, until=now + 1000 * event["seconds"])


@pytest.mark.slow
@pytest.mark.parametrize("wall_ms", [None, STARTED], ids=["replay", "live"])
@fuzz_settings
@given(
    routes=st.lists(ROUTE, max_size=3),
    inhibit=st.lists(INHIBIT, max_size=2),
    escalations=st.lists(ESCALATION, max_size=1),
    events=EVENTS,
)
def test_the_decisions_are_those_of_deciding_everything_again(wall_ms, routes, inhibit, escalations, events):
    settings = RouteSettings.model_validate(
        {
            "receivers": RECEIVERS,
            "default_receivers": ["pager"],
            "routes": [route | {"name": f"r{index}"} for index, route in enumerate(routes)],
            "inhibit": inhibit,
            "escalations": [rule | {"name": f"e{index}"} for index, rule in enumerate(escalations)],
            "time_intervals": INTERVALS,
            "labels": [{"matchers": ["subject=x"], "labels": {"team": "red"}}],
            "repeat_interval_s": 2000,
        }
    )
    steps = [kind(settings, wall_ms) for kind in (RouteStep, ExhaustiveStep)]
    states, revisions, now = [{}, {}], {}, STARTED
    for offset, (seconds, event, answers, is_restarted) in enumerate(events):
        now += 1000 * seconds
        if wall_ms is not None:
            ticked = [step.tick(now) for step in steps]
            assert ticked[0] == ticked[1]
        message = read_event(event, now, offset, revisions)
        outputs = [step.step([message]) for step in steps]
        assert outputs[0] == outputs[1]
        pending = [step.take_pending() for step in steps]
        assert pending[0] == pending[1]
        for index, dispatch in enumerate(pending[0]):
            answer = ANSWERS[answers[index] if index < len(answers) else "sent"]
            recorded = [step.record_delivery(dispatch, answer) for step in steps]
            assert recorded[0] == recorded[1]
        for state, step in zip(states, steps, strict=True):
            apply_changes(state, step)
        if is_restarted:
            steps = [kind(settings, wall_ms and now) for kind in (RouteStep, ExhaustiveStep)]
            for state, step in zip(states, steps, strict=True):
                assert list(step.restore(list(state.items()))) == []
