"""Incidents of a group are sent in one message, which waits for further incidents."""

import orjson
import pytest

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident, silence

SENT = Delivery("sent", "", 1, STARTED, reference="message-1")
RETRY = Delivery("retry", "cannot be reached", 1)
RECEIVERS = [
    {"name": "chat", "console": True},
    {"name": "tickets", "github": {"repository": "example/ops", "token": "t"}},
]


class Run:
    """A step with one receiver and groups by subject, and the revisions of its incidents."""

    def __init__(self, **fields):
        defaults = {"receivers": RECEIVERS, "default_receivers": ["chat"], "group_by": ["subject"]}
        self.settings = RouteSettings.model_validate(defaults | fields)
        self.step, self.now, self.state, self.revisions = RouteStep(self.settings, STARTED), STARTED, {}, {}
        self.notes = []

    def use(self, outputs):
        self.notes += [Notification.from_json(output.value) for output in outputs if output.topic == NOTIFICATIONS]

    def revise(self, name, **changes):
        fields = {"incident_id": name, "revision": 1} | self.revisions.get(name, {}) | changes
        self.use(self.step.step([alert(incident(**fields), fields["revision"])]))
        self.revisions[name] = fields | {"revision": fields["revision"] + 1}

    def tick(self, seconds):
        self.now += seconds * 1000
        self.use(self.step.tick(self.now))

    def send(self, delivery=SENT):
        """Answer all messages that are due, and return their members and the incidents without news."""
        sent = []
        for message in self.step.take_pending():
            others = () if message.group_news is None else message.group_news.unchanged
            names = [member.incident.incident_id for member in message.members]
            sent.append((names, [other.incident_id for other in others]))
            self.use(self.step.record_delivery(message, delivery))
        return sent

    def restart(self, settings=None):
        self.state |= dict(self.step.changed())
        parts = [(key, value) for key, value in self.state.items() if value is not None]
        self.step = RouteStep(settings or self.settings, self.now)
        assert list(self.step.restore(parts)) == []
        self.tick(0)


def test_the_first_message_waits_and_contains_all_incidents_the_most_urgent_first():
    run = Run()
    run.revise("a", severity="P3")
    run.tick(20)
    run.revise("b", severity="P1")
    run.tick(9)
    assert run.send() == []
    run.tick(1)
    assert run.send() == [(["b", "a"], [])]
    assert [(note.incident_id, note.outcome, note.group) for note in run.notes] == [
        ("b", "sent", 'subject="support-bot"'),
        ("a", "sent", 'subject="support-bot"'),
    ]


def test_later_news_waits_for_the_interval_and_lists_the_other_open_incidents():
    run = Run()
    run.revise("a")
    run.tick(30)
    assert run.send() == [(["a"], [])]
    run.tick(10)
    run.revise("b")
    run.tick(289)
    assert run.send() == []
    run.tick(1)
    assert run.send() == [(["b"], ["a"])]
    run.tick(400)
    run.revise("a", status="acknowledged")
    run.tick(29)
    assert run.send() == []  # after the interval, news waits for more of it too
    run.tick(1)
    assert run.send() == [(["a"], ["b"])]


def test_each_subject_has_a_group_of_its_own():
    run = Run()
    run.revise("a")
    run.revise("b", subject="search")
    run.revise("c")
    run.tick(30)
    assert run.send() == [(["a", "c"], []), (["b"], [])]


def test_an_incident_that_is_over_before_the_message_is_not_sent():
    run = Run()
    run.revise("a")
    run.revise("b")
    run.tick(10)
    run.revise("a", status="resolved")
    run.tick(20)
    assert run.send() == [(["b"], [])]
    ends = [(note.incident_id, note.outcome, note.reason_code) for note in run.notes]
    assert ends[1] == ("a", "suppressed", "closed_before_notified")


def test_an_incident_that_is_over_while_the_receiver_is_unavailable_is_told_as_over():
    run = Run()
    run.revise("a")
    run.tick(30)
    assert run.send(RETRY) == [(["a"], [])]
    run.revise("a", status="resolved")
    run.tick(5)
    assert run.send() == [(["a"], [])]
    assert run.notes[-1].outcome == "sent"


def test_a_retry_does_not_wait_for_the_interval_and_has_what_is_new():
    run = Run()
    run.revise("a")
    run.tick(30)
    assert run.send(RETRY) == [(["a"], [])]
    run.revise("b")
    assert run.send() == []
    run.tick(1)
    assert run.send() == [(["a", "b"], [])]


def test_the_next_group_begins_after_the_end_of_all_incidents():
    run = Run()
    run.revise("a")
    run.tick(30)
    run.send()
    run.revise("a", status="resolved")
    run.tick(300)
    assert run.send() == [(["a"], [])]
    run.revise("b")
    run.tick(30)
    message = run.step.take_pending()[0]
    assert message.reference == ""
    assert message.group_news.unchanged == ()


def test_all_messages_of_a_group_have_one_thread_and_the_reference_of_the_receiver():
    run = Run()
    run.revise("a")
    run.tick(30)
    first = run.step.take_pending()[0]
    run.use(run.step.record_delivery(first, SENT))
    run.revise("b")
    run.tick(300)
    second = run.step.take_pending()[0]
    assert second.reference == "message-1"
    assert second.thread_id == first.thread_id != "a"
    assert second.message_id != first.message_id
    assert [one.incident_id for one in second.incidents] == ["a", "b"]


def test_an_incident_stays_in_its_group_when_its_labels_change():
    run = Run(group_by=["severity"])
    run.revise("a", severity="P3")
    run.tick(30)
    first = run.step.take_pending()[0]
    run.use(run.step.record_delivery(first, SENT))
    run.revise("a", severity="P1")
    run.tick(300)
    assert run.step.take_pending()[0].group == first.group


def test_repeats_of_a_group_are_one_message():
    run = Run(repeat_interval_s=3600)
    run.revise("a")
    run.tick(30)
    run.send()
    run.tick(300)
    run.revise("b")
    run.tick(30)
    assert run.send() == [(["b"], ["a"])]
    run.tick(3599)
    assert run.send() == []
    run.tick(1)
    run.tick(30)
    assert run.send() == [(["a", "b"], [])]


def test_a_silenced_incident_is_not_in_the_message():
    run = Run()
    run.revise("a")
    run.revise("b")
    run.step.step([silence(matchers=["incident_id=a"])])
    run.tick(30)
    assert run.send() == [(["b"], [])]


def test_groups_survive_a_restart():
    run = Run()
    run.revise("a")
    run.tick(30)
    run.send()
    run.revise("b")
    run.tick(100)
    run.restart()
    assert run.send() == []
    run.tick(200)
    assert run.send() == [(["b"], ["a"])]
    assert not run.step.has_pending()


def test_a_receiver_that_needs_each_incident_by_itself_does_not_wait():
    run = Run(default_receivers=["tickets"])
    run.revise("a")
    run.revise("b")
    assert run.send() == [(["a"], []), (["b"], [])]


def test_a_receiver_that_becomes_one_of_single_incidents_gets_them_at_once():
    run = Run()
    run.revise("a")
    run.revise("b")
    receivers = [{**RECEIVERS[1], "name": "chat"}]
    run.restart(RouteSettings(receivers=receivers, default_receivers=["chat"], group_by=["subject"]))
    assert run.send() == [(["a"], []), (["b"], [])]


@pytest.mark.parametrize(("group_by", "sent"), [(["..."], [(["a"], []), (["b"], [])]), ([], [])])
def test_a_nested_route_can_undo_the_grouping_or_have_another(group_by, sent):
    inner = {"name": "inner", "receivers": ["chat"], "group_by": group_by}
    run = Run(routes=[{"name": "outer", "receivers": ["chat"], "routes": [inner]}])
    run.revise("a")
    run.revise("b", subject="search")
    assert run.send() == sent
    run.tick(30)
    assert run.send() == ([] if sent else [(["a", "b"], [])])


def test_one_failing_group_is_one_failing_message():
    run = Run()
    for name in "abc":
        run.revise(name)
    run.tick(30)
    assert run.send(RETRY) == [(["a", "b", "c"], [])]
    run.tick(1)
    assert run.send(RETRY) == [(["a", "b", "c"], [])]
    run.revise("d", subject="search")
    run.tick(30)
    assert run.send() == [(["d"], [])]
    assert run.send() == [(["a", "b", "c"], [])]  # the receiver accepts others, so nothing waits for it


def test_in_a_replay_no_group_waits():
    settings = Run().settings
    step = RouteStep(settings)
    for name in "ab":
        step.step([alert(incident(incident_id=name))])
    assert [len(message.members) for message in step.take_pending()] == [2]


def test_a_state_without_groups_is_read():
    run = Run(group_by=["..."])
    run.revise("a")
    run.send()
    run.state = dict(run.step.changed())
    part = orjson.loads(run.state[b"incident/a"])
    del part["state"]["told"]["chat"]["group"]
    run.state[b"incident/a"] = orjson.dumps(part)
    run.step = RouteStep(run.settings, run.now)
    assert list(run.step.restore(list(run.state.items()))) == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"group_by": ["subjekt"]}, "group_by: unknown label 'subjekt'; did you mean \"subject\""),
        (
            {"routes": [{"name": "r", "receivers": ["chat"], "group_by": ["...", "subject"]}]},
            "route 'r': group_by: unknown label '...'",
        ),
    ],
)
def test_an_unknown_label_is_refused(fields, error):
    with pytest.raises(ValueError, match=error):
        Run(**fields)
