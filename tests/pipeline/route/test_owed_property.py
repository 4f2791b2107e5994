"""Whatever receivers answer, whenever the worker crashes and whatever holds notifications back, each receiver is told the
newest state in the end, once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.incident import CLOSED
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

SENT = Delivery("sent", "", 1, STARTED)
ANSWERS = {
    "sent": SENT,
    "retry": Delivery("retry", "cannot be reached", 1),
    "later": Delivery("retry", "answered 429", 1, retry_after_s=40),
    "deferred": Delivery("deferred", "", 0),
    "failed": Delivery("failed", "answered 404", 1),
}
RECEIVERS = [
    {"name": "pager", "console": True, "fallback": "chat", "fallback_after_s": 100, "messages_per_minute": 5},
    {"name": "chat", "console": True},
    {"name": "log", "console": True},
    {"name": "boss", "console": True, "send_resolved": False},
]
ROUTES = [
    {"name": "night", "matchers": ["severity=P3"], "receivers": ["chat"], "mute_times": ["m"], "continue": True},
    {"name": "all", "receivers": ["pager", "log"]},
]
SETTINGS = [
    RouteSettings.model_validate(
        {"receivers": RECEIVERS, "default_receivers": ["pager", "log"], "repeat_interval_s": 1e9} | fields
    )
    for fields in (
        {},
        {"escalations": [{"name": "second", "after_s": 200, "receivers": ["boss", "chat"]}]},
        {"routes": ROUTES, "time_intervals": {"m": {"times": [{"start_time": "03:15", "end_time": "03:25"}]}}},
        {"group_by": ["subject"], "group_wait_s": 30, "group_interval_s": 100},
        {
            "group_by": ["severity"],
            "group_interval_s": 100,
            "escalations": [{"name": "second", "after_s": 200, "receivers": ["boss", "chat"]}],
        },
    )
]
REVISION = st.tuples(
    st.sampled_from("pq"),
    st.sampled_from(["P1", "P2", "P3"]),
    st.sampled_from(["open", "open", "open", "acknowledged", "resolved"]),
)
SILENCE = st.tuples(st.sampled_from("pq"), st.sampled_from([30, 300]))
EVENTS = st.lists(
    st.tuples(
        st.none() | REVISION | SILENCE,
        st.sampled_from([0, 1, 7, 60, 300, -100]),  # seconds until the next event
        st.lists(
            st.sampled_from(sorted(ANSWERS)), max_size=4
        ),  # the answers to the next attempts; then no attempt ends
        st.sampled_from(["", "", "", "restart", "crash", "change"]),
    ),
    max_size=25,
)


class Run:
    def __init__(self):
        self.settings, self.changes = SETTINGS[0], 0
        self.step, self.now, self.state = RouteStep(self.settings, STARTED), STARTED, {}
        self.in_flight, self.uncommitted, self.notes, self.letters = [], [], [], 0
        self.silenced, self.silenced_at_tick = {}, {}

    def use(self, outputs):
        self.uncommitted += outputs

    def commit(self):
        apply_changes(self.state, self.step)
        for output in self.uncommitted:
            self.letters += output.topic == DEAD_LETTERS
            if output.topic == NOTIFICATIONS:
                self.notes.append(Notification.from_json(output.value))
        self.uncommitted = []

    def restart(self, *, with_change):
        """Go on from the last checkpoint, maybe with other settings. Attempts in flight end unheard."""
        self.changes += with_change
        self.settings = SETTINGS[self.changes % len(SETTINGS)]
        self.step, self.in_flight, self.uncommitted = RouteStep(self.settings, self.now), [], []
        assert list(self.step.restore(list(self.state.items()))) == []
        self.tick(0)

    def silence(self, name, seconds, offset):
        until = self.now + 1000 * seconds
        self.silenced[name] = self.now, until
        fields = {"command_id": name, "at": self.now, "until": until, "matchers": [f"incident_id={name}"]}
        self.use(self.step.step([silence(offset, **fields)]))

    def tick(self, seconds):
        self.now += 1000 * seconds
        self.use(self.step.tick(self.now))
        self.silenced_at_tick = dict(self.silenced)

    def take(self):
        taken = self.step.take_pending()
        for dispatch in (member for message in taken for member in message.members):
            start, until = self.silenced_at_tick.get(dispatch.incident.incident_id, (0, 0))
            assert not start <= self.now < until, "a silence was bypassed"
        return taken

    def answer(self, answers):
        for answer in answers:
            self.in_flight += self.take()
            if self.in_flight:
                self.use(self.step.record_delivery(self.in_flight.pop(0), ANSWERS[answer]))


def play(run, events):
    """Play the events, and return the newest revision of each incident."""
    newest = {}
    for offset, (event, seconds, answers, interruption) in enumerate(events):
        if event is not None and len(event) == 2:
            run.silence(*event, offset)
            run.commit()
        elif event is not None:
            name, severity, status = event
            number = newest[name].revision + 1 if name in newest else 1
            newest[name] = incident(incident_id=name, revision=number, severity=severity, status=status)
            run.use(run.step.step([alert(newest[name], offset)]))
            run.commit()  # after a crash before this, the alert would be read again
        run.answer(answers)
        run.tick(seconds)
        if interruption != "crash":
            run.commit()
        if interruption:
            run.restart(with_change=interruption == "change")
    return newest


def settle(run):
    """Let the receivers accept everything."""
    for _ in range(60):
        for dispatch in run.in_flight + run.take():
            run.use(run.step.record_delivery(dispatch, SENT))
        run.in_flight = []
        run.tick(60)
    run.commit()


def revise(run, newest, offset, **changes):
    for name, last in newest.items():
        newest[name] = last.model_copy(update={"revision": last.revision + 1} | changes)
        run.use(run.step.step([alert(newest[name], offset)]))
        offset += 1


@fuzz_settings
@given(events=EVENTS, ends=st.booleans())
def test_each_receiver_is_told_the_newest_state_in_the_end_and_nothing_is_lost(events, ends):
    run = Run()
    newest = play(run, events)
    if ends:
        revise(run, newest, len(events), status="resolved")
    settle(run)
    revise(run, newest, len(events) + len(newest))  # what was refused for good is sent with the next revision
    settle(run)

    assert not run.step.has_pending()
    assert run.letters == sum(note.outcome == "failed" for note in run.notes)
    told = {
        (note.incident_id, note.receiver): (note.severity, note.status) for note in run.notes if note.outcome == "sent"
    }
    for name, last in newest.items():
        state, is_over = (last.severity, last.status), last.status in CLOSED
        is_escalated = run.settings.escalations and last.status == "open" and last.severity in ("P1", "P2")
        for receiver in ("pager", "log", "chat", "boss"):
            known = told.get((name, receiver))
            is_recipient = receiver in ("pager", "log") and not is_over
            is_follower = known is not None and known[1] not in CLOSED and receiver != "boss"
            if is_recipient or is_follower or (is_escalated and receiver in ("boss", "chat")):
                assert known == state
        assert (f"alert/{name}".encode() in run.state) == (last.status not in CLOSED)
    ids = Counter(note.notification_id for note in run.notes)
    assert max(ids.values(), default=1) == 1, "one key has two notifications"
