"""Whatever receivers answer and whenever the worker crashes, each receiver is told the newest state in the end, once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.incident import CLOSED
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.pipeline.route.test_step import apply_changes

SENT = Delivery("sent", "", 1, STARTED)
ANSWERS = {
    "sent": SENT,
    "retry": Delivery("retry", "cannot be reached", 1),
    "later": Delivery("retry", "answered 429", 1, retry_after_s=40),
    "deferred": Delivery("deferred", "", 0),
}
RECEIVERS = [
    {"name": "pager", "console": True, "fallback": "chat", "fallback_after_s": 100, "messages_per_minute": 5},
    {"name": "chat", "console": True},
    {"name": "log", "console": True},
]
SETTINGS = RouteSettings.model_validate(
    {"receivers": RECEIVERS, "default_receivers": ["pager", "log"], "repeat_interval_s": 1e9}
)
REVISION = st.tuples(
    st.sampled_from("pq"), st.sampled_from(["P1", "P2", "P3"]), st.sampled_from(["open", "acknowledged"])
)
EVENTS = st.lists(
    st.tuples(
        st.none() | REVISION,
        st.sampled_from([0, 1, 7, 60, 300]),  # seconds until the next event
        st.lists(
            st.sampled_from(sorted(ANSWERS)), max_size=4
        ),  # the answers to the next attempts; then no attempt ends
        st.sampled_from(["", "", "", "restart", "crash"]),
    ),
    max_size=25,
)


class Run:
    def __init__(self):
        self.step, self.now, self.state = RouteStep(SETTINGS, STARTED), STARTED, {}
        self.in_flight, self.uncommitted, self.notes, self.letters = [], [], [], 0

    def use(self, outputs):
        self.uncommitted += outputs

    def commit(self):
        apply_changes(self.state, self.step)
        for output in self.uncommitted:
            self.letters += output.topic == DEAD_LETTERS
            if output.topic == NOTIFICATIONS:
                self.notes.append(Notification.from_json(output.value))
        self.uncommitted = []

    def restart(self):
        """Go on from the last checkpoint. Attempts in flight end unheard."""
        self.step, self.in_flight, self.uncommitted = RouteStep(SETTINGS, self.now), [], []
        assert list(self.step.restore(list(self.state.items()))) == []

    def tick(self, seconds):
        self.now += 1000 * seconds
        self.use(self.step.tick(self.now))

    def answer(self, answers):
        for answer in answers:
            self.in_flight += self.step.take_pending()
            if self.in_flight:
                self.use(self.step.record_delivery(self.in_flight.pop(0), ANSWERS[answer]))


def play(run, events):
    """Play the events, and return the newest revision of each incident."""
    newest = {}
    for offset, (revision, seconds, answers, interruption) in enumerate(events):
        if revision is not None:
            name, severity, status = revision
            number = newest[name].revision + 1 if name in newest else 1
            newest[name] = incident(incident_id=name, revision=number, severity=severity, status=status)
            run.use(run.step.step([alert(newest[name], offset)]))
            run.commit()  # after a crash before this, the alert would be read again
        run.answer(answers)
        run.tick(seconds)
        if interruption != "crash":
            run.commit()
        if interruption:
            run.restart()
    return newest


def resolve(run, newest, offset):
    for name, last in newest.items():
        newest[name] = last.model_copy(update={"revision": last.revision + 1, "status": "resolved"})
        run.use(run.step.step([alert(newest[name], offset)]))
        offset += 1


@fuzz_settings
@given(events=EVENTS, ends=st.booleans())
def test_each_receiver_is_told_the_newest_state_in_the_end_and_nothing_is_lost(events, ends):
    run = Run()
    newest = play(run, events)
    if ends:
        resolve(run, newest, len(events))
    for _ in range(100):  # the receivers accept everything from now on
        for dispatch in run.in_flight + run.step.take_pending():
            run.use(run.step.record_delivery(dispatch, SENT))
        run.in_flight = []
        run.tick(60)
    run.commit()

    assert not run.step.has_pending()
    assert run.letters == 0
    told = {
        (note.incident_id, note.receiver): (note.severity, note.status) for note in run.notes if note.outcome == "sent"
    }
    for name, last in newest.items():
        state = (last.severity, last.status)
        # The fallback gets the later changes too, if it was notified.
        assert [told[name, "pager"], told[name, "log"], told.get((name, "chat"), state)] == [state] * 3
        assert (f"alert/{name}".encode() in run.state) == (last.status not in CLOSED)
    ids = Counter(note.notification_id for note in run.notes)
    assert max(ids.values(), default=1) == 1, "one key has two notifications"
