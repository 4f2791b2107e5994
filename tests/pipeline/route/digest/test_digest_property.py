"""Over restarts, crashes, failures and changes of the clock, each digest with content is sent once a day, and it contains
what a plain reference finds in the revisions and in the notifications."""

import copy
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, NoticeDispatch, RouteSettings, RouteStep
from schemas.notice import Notice
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.digest.samples import due_times, ms
from tests.pipeline.route.samples import alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
OBSTACLES = ("silenced", "inhibited", "muted", "outside_active_time")
ANSWERS = {
    "sent": Delivery("sent", "", 1, ms("2026-11-24T00:00Z")),
    "retry": Delivery("retry", "cannot be reached", 1),
    "deferred": Delivery("deferred", "", 0),
}
STARTS = [ms(f"{day}T05:10Z") for day in ("2027-03-26", "2026-10-23", "2026-10-30", "2027-03-12", "2026-11-24")]
TIMES = [("Europe/Berlin", "02:30"), ("America/New_York", "01:45"), ("America/Nuuk", "23:30"), ("UTC", "09:00")]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
EVENTS = st.lists(
    st.tuples(
        st.none()
        | st.tuples(
            st.sampled_from("pqr"), st.sampled_from(["P2", "P3", "P4"]), st.sampled_from(["open", "open", "resolved"])
        )
        | st.tuples(st.sampled_from("pqr"), st.sampled_from([2, 50])),
        st.sampled_from([1, 3600, 7 * 3600, 20 * 3600, 26 * 3600, 80 * 3600]),  # seconds until the next tick
        st.lists(st.sampled_from(sorted(ANSWERS)), max_size=3),  # the answers to notices
        st.sampled_from(["", "", "restart", "crash"]),
    ),
    max_size=20,
)


def route_settings(location, time):
    return RouteSettings.model_validate(
        {
            "receivers": [{"name": name, "console": True} for name in ("log", "mail", "chat")],
            "default_receivers": ["log"],
            "repeat_interval_s": 1e9,
            "inhibit": [{"source": ["incident_id=p", "severity=P2"], "target": ['incident_id="q"']}],
            "time_intervals": {"night": {"times": [{"start_time": "00:00", "end_time": "06:00"}]}},
            "routes": [
                {"name": "r", "matchers": ["incident_id=r"], "receivers": ["log"], "mute_times": ["night"]},
            ],
            "digests": [
                {"name": "daily", "receivers": ["mail", "chat"], "time": time, "location": location},
                {"name": "week", "receivers": ["mail"], "time": "09:00", "weekdays": ["monday:friday"]}
                | {"matchers": ["severity!=P4"]},
            ],
        }
    )


class Reference:
    """The revisions and the suppressions, in plain lists."""

    def __init__(self):
        self.revisions = {}
        self.suppressed = []  # time, incident and code
        self.is_held_back = {}  # code by incident, or None
        self.decided = {}  # day and time of the last decision, by digest
        self.notices = []  # id and content that are due

    def content(self, digest, since, until):
        def matches(one):
            return digest == "daily" or one.severity != "P4"

        chosen = {name: (one, at) for name, (one, at) in self.revisions.items() if matches(one)}
        suppressed = {}
        for at, name, code in self.suppressed:
            if name in chosen and (at >= since or self.is_held_back.get(name) == code):
                suppressed.setdefault(name, set()).add(code)
        return {
            "p4": {
                name
                for name, (one, at) in chosen.items()
                if one.severity == "P4" and (one.status == "open" or at >= since)
            },
            "stale_p3": {
                name
                for name, (one, _) in chosen.items()
                if one.severity == "P3" and one.status == "open" and until - one.started_at >= DAY_MS
            },
            "suppressed": suppressed,
        }

    def tick(self, now, due_days):
        for digest, due in due_days.items():
            day = max(day for day, at in due.items() if at <= now)
            last = self.decided.get(digest)
            if last is None:
                self.decided[digest] = day, now
            elif day > last[0]:
                self.decided[digest] = day, now
                content = self.content(digest, last[1], now)
                if any(content.values()):
                    self.notices.append((f"digest:{digest}:{day}", content))


class Run:
    def __init__(self, start, location, time):
        self.settings, self.now, self.offset = route_settings(location, time), start, 0
        last = start + 90 * DAY_MS
        self.due = {
            "daily": due_times(location, time, (), start - 9 * DAY_MS, last),
            "week": due_times("UTC", "09:00", WEEKDAYS, start - 9 * DAY_MS, last),
        }
        self.step, self.state, self.reference = RouteStep(self.settings, start), {}, Reference()
        self.uncommitted, self.notices, self.letters, self.in_flight = [], [], 0, []
        self.saved = copy.deepcopy(self.reference)
        self.accepted = []
        self.tick(0)
        self.commit()

    def use(self, outputs):
        for output in outputs:
            if output.topic == NOTIFICATIONS and b'"type":"notice"' not in output.value:
                note = Notification.from_json(output.value)
                is_suppressed = note.outcome == "suppressed" and note.reason_code in OBSTACLES
                if is_suppressed:
                    self.reference.suppressed.append((note.decided_at, note.incident_id, note.reason_code))
                self.reference.is_held_back[note.incident_id] = note.reason_code if is_suppressed else None
            else:
                self.uncommitted.append(output)

    def commit(self):
        apply_changes(self.state, self.step)
        for output in self.uncommitted:
            self.letters += output.topic == DEAD_LETTERS
            if output.topic == NOTIFICATIONS:
                self.notices.append(Notice.from_json(output.value))
        self.uncommitted = []
        self.saved = copy.deepcopy(self.reference)

    def restart(self):
        self.step, self.in_flight, self.uncommitted = RouteStep(self.settings, self.now), [], []
        self.reference = copy.deepcopy(self.saved)
        assert list(self.step.restore(list(self.state.items()))) == []
        self.tick(1)

    def tick(self, seconds):
        self.now += 1000 * seconds
        self.reference.tick(self.now, self.due)
        self.use(self.step.tick(self.now))
        self.deliver([])

    def deliver(self, answers):
        """Let notifications be accepted, and notices be answered."""
        for dispatch in self.step.take_pending():
            if isinstance(dispatch, NoticeDispatch):
                self.in_flight.append(dispatch)
            else:
                self.use(self.step.record_delivery(dispatch, ANSWERS["sent"]))
        for answer in answers:
            if self.in_flight:
                dispatch = self.in_flight.pop(0)
                self.accepted += [dispatch] if answer == "sent" else []
                self.use(self.step.record_delivery(dispatch, ANSWERS[answer]))
                self.deliver([])

    def revise(self, name, severity, status):
        before = self.reference.revisions.get(name)
        number = 1 if before is None else before[0].revision + 1
        started = self.now if before is None else before[0].started_at
        fields = {"started_at": started, "updated_at": self.now, "severity": severity, "status": status}
        revision = incident(incident_id=name, revision=number, **fields)
        self.reference.revisions[name] = revision, self.now
        self.use(self.step.step([alert(revision, self.offset)]))

    def silence(self, name, hours):
        fields = {"at": self.now, "until": self.now + hours * HOUR_MS, "matchers": [f"incident_id={name}"]}
        self.use(self.step.step([silence(self.offset, command_id=f"s-{name}", **fields)]))


@pytest.mark.slow
@fuzz_settings
@given(start=st.sampled_from(STARTS), times=st.sampled_from(TIMES), events=EVENTS)
def test_each_digest_with_content_is_sent_once_a_day_with_the_content_of_a_plain_reference(start, times, events):
    run = Run(start, *times)
    for event, seconds, answers, interruption in events:
        run.offset += 1
        if event is not None:
            run.silence(*event) if len(event) == 2 else run.revise(*event)
            run.deliver([])
            run.commit()  # after a crash before this, the message would be read again
        run.tick(seconds)
        run.deliver(answers)
        if interruption != "crash":
            run.commit()
        if interruption:
            run.restart()
    for _ in range(40):
        run.deliver(["sent"] * 20)
        run.tick(60)
    run.commit()

    assert not run.step.has_pending()
    sent = [notice for notice in run.notices if notice.outcome != "suppressed"]
    expected = dict(run.reference.notices)
    receivers = {"daily": ("mail", "chat"), "week": ("mail",)}
    ids = Counter(notice.notification_id for notice in run.notices)
    assert max(ids.values(), default=1) == 1, "a digest was sent twice"
    assert {notice.notification_id for notice in sent} == {
        f"{notice_id}:{receiver}" for notice_id in expected for receiver in receivers[notice_id.split(":")[1]]
    }
    for notice in sent:
        assert notice.outcome == "sent" or run.now - notice.decided_at >= DAY_MS
        sections, wanted = notice.digest, expected[notice.notification_id.rpartition(":")[0]]
        for section in ("p4", "stale_p3"):
            assert {one.incident_id for one in getattr(sections, section).incidents} == wanted[section]
        assert {
            one.incident_id: {suppression.reason_code for suppression in one.suppressions}
            for one in sections.suppressed.incidents
        } == wanted["suppressed"]
    assert run.letters == sum(notice.outcome == "failed" for notice in sent)
    assert not [key for key in run.state if key.startswith(b"notice/")]
