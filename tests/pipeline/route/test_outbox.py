"""What a receiver has not accepted stays owed: with the newest state, over restarts, until it is sent, passed on or given up."""

from itertools import pairwise

import pytest

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.dead_letter import DeadLetter
from schemas.notification import Notification
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

SENT = Delivery("sent", "", 1, STARTED)
AWAY = Delivery("retry", "cannot be reached", 1)
REFUSED = Delivery("failed", "answered 404", 1)
DEFERRED = Delivery("deferred", "", 0)
HOUR_S = 3600


def build(wall_ms=STARTED, **receiver):
    receivers = [{"name": "pager", "console": True} | receiver, {"name": "chat", "console": True}]
    settings = RouteSettings.model_validate({"receivers": receivers, "default_receivers": ["pager"]})
    return RouteStep(settings, wall_ms)


class Run:
    """A live step with a clock, in which receivers answer as they are told."""

    def __init__(self, step):
        self.step, self.now = step, STARTED
        self.notes, self.letters, self.attempts = [], [], []

    def use(self, outputs):
        for output in outputs:
            if output.topic == NOTIFICATIONS:
                self.notes.append(Notification.from_json(output.value))
            elif output.topic == DEAD_LETTERS:
                self.letters.append(DeadLetter.from_json(output.value))

    def read(self, offset=0, **changes):
        self.use(self.step.step([alert(incident(**changes), offset)]))

    def wait(self, seconds, **answers):
        """Tick every second. Receivers without an answer accept."""
        for _ in range(seconds):
            self.now += 1000
            self.use(self.step.tick(self.now))
            self.deliver(**answers)

    def deliver(self, **answers):
        for dispatch in self.step.take_pending():
            self.attempts.append(
                (self.now, dispatch.receiver, dispatch.incident.incident_id, dispatch.incident.revision)
            )
            self.use(self.step.record_delivery(dispatch, answers.get(dispatch.receiver, SENT)))

    def summary(self):
        return [(note.receiver, note.revision, note.outcome, note.reason_code, note.attempts) for note in self.notes]


def test_a_page_is_sent_when_its_receiver_is_back_after_hours_and_every_attempt_is_counted():
    run = Run(build(fallback_after_s=1e9))
    run.read()
    run.deliver(pager=AWAY)
    run.wait(2 * HOUR_S, pager=AWAY)
    assert run.notes == []
    attempts = len(run.attempts)
    assert 2 * 60 <= attempts <= 2 * 130  # at most one and at least half a minute apart
    run.wait(61)
    assert run.summary() == [("pager", 1, "sent", "first_notification", attempts + 1)]
    assert run.letters == []


def test_a_notification_has_the_time_zone_of_its_readers():
    run = Run(build(time_zone="Asia/Tokyo"))
    run.read()
    assert [dispatch.time_zone for dispatch in run.step.take_pending()] == ["Asia/Tokyo"]


def test_delays_double_up_to_the_limit_and_jitter_at_most_halves_them():
    run = Run(build(retry_interval_max_s=8, fallback_after_s=1e9))
    run.read()
    run.deliver(pager=AWAY)
    run.wait(100, pager=AWAY)
    times = [at for at, *_ in run.attempts]
    gaps = [(after - before) / 1000 for before, after in pairwise(times)]
    for gap, full in zip(gaps, (1, 2, 4, 8, 8, 8, 8), strict=False):
        assert full / 2 <= gap <= full + 1


def test_the_newest_state_is_sent_instead_of_every_revision():
    run = Run(build())
    run.read()
    run.deliver(pager=AWAY)
    run.read(1, revision=2, severity="P2")
    run.read(2, revision=3, severity="P1")
    run.wait(10)
    assert run.summary() == [
        ("pager", 1, "suppressed", "superseded", 0),
        ("pager", 2, "suppressed", "superseded", 0),
        ("pager", 3, "sent", "first_notification", 2),
    ]


def test_the_end_of_an_incident_that_a_receiver_could_not_be_told_is_told_once():
    run = Run(build())
    run.read()
    run.deliver(pager=AWAY)
    run.read(1, revision=2, status="resolved")
    run.wait(10)
    assert run.summary()[1:] == [("pager", 2, "sent", "status_changed", 2)]
    assert run.notes[1].reason == "resolved before the receiver was notified: cannot be reached"
    run.read(2, revision=3, status="resolved", change="a note")
    assert run.summary()[2:] == [("pager", 3, "suppressed", "no_change", 0)]
    assert [key for key, value in run.step.changed() if key.startswith(b"alert/") and value] == []


def test_a_change_that_is_taken_back_while_the_receiver_is_away_is_not_sent():
    run = Run(build())
    run.read()
    run.deliver()
    run.read(1, revision=2, severity="P1")
    run.deliver(pager=AWAY)
    run.read(2, revision=3)
    run.wait(100)
    assert run.summary()[1:] == [
        ("pager", 2, "suppressed", "superseded", 0),
        ("pager", 3, "suppressed", "no_change", 0),
    ]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_change_that_is_taken_back_during_a_failing_attempt_does_not_lose_the_incident(is_restarted):
    run, state = Run(build()), {}
    run.read(severity="P1")
    (attempt,) = run.step.take_pending()
    run.read(1, revision=2, severity="P2")
    run.read(2, revision=3, severity="P1")
    apply_changes(state, run.step)
    if is_restarted:
        run.step = build()
        assert list(run.step.restore(list(state.items()))) == []
    else:
        run.use(run.step.record_delivery(attempt, AWAY))
    run.wait(60)
    assert [note.revision for note in run.notes if note.outcome == "sent"] == [3]
    assert not run.step.has_pending()


def test_a_change_that_is_taken_back_during_an_attempt_that_succeeds_is_not_sent():
    run = Run(build())
    run.read(severity="P1")
    (attempt,) = run.step.take_pending()
    run.read(1, revision=2, severity="P2")
    run.read(2, revision=3, severity="P1")
    run.use(run.step.record_delivery(attempt, SENT))
    run.wait(60)
    assert [note.revision for note in run.notes if note.outcome == "sent"] == [1]


@pytest.mark.parametrize("changes", [{"severity": "P1"}, {"change": "more evidence"}])
def test_a_revision_that_arrives_during_an_attempt_is_sent_if_the_attempt_fails(changes):
    run = Run(build())
    run.read()
    [dispatch] = run.step.take_pending()
    run.read(1, revision=2, **changes)
    assert run.step.take_pending() == []
    run.use(run.step.record_delivery(dispatch, AWAY))
    run.wait(10)
    sent = [note for note in run.notes if note.outcome == "sent"]
    assert [(note.revision, note.reason_code) for note in sent] == [(2, "first_notification")]
    assert [note.revision for note in run.notes if note.reason_code == "superseded"] == [1]


@pytest.mark.parametrize("changes", [{"severity": "P1"}, {"change": "more evidence"}])
def test_a_revision_that_arrives_during_an_attempt_is_compared_with_it_if_it_succeeds(changes):
    run = Run(build())
    run.read()
    [dispatch] = run.step.take_pending()
    run.read(1, revision=2, **changes)
    run.use(run.step.record_delivery(dispatch, SENT))
    run.wait(10)
    expected = [("pager", 1, "sent", "first_notification", 1)]
    if "severity" in changes:
        expected.append(("pager", 2, "sent", "severity_changed", 1))
    else:
        expected.insert(0, ("pager", 2, "suppressed", "no_change", 0))
    assert run.summary() == expected


@pytest.mark.parametrize("newer", [False, True])
def test_what_is_owed_survives_a_crash_during_an_attempt_with_the_same_key(newer):
    run, state = Run(build()), {}
    run.read()
    [before] = run.step.take_pending()
    if newer:
        run.read(1, revision=2, change="more evidence")
    apply_changes(state, run.step)
    restored = build()
    assert list(restored.restore(state.items())) == []
    [after] = restored.take_pending()
    if not newer:
        assert after.notification_id == before.notification_id
    assert after.incident.revision == 1 + newer
    assert restored.record_delivery(after, SENT)
    assert restored.take_pending() == []


def test_a_restart_keeps_the_schedule_and_the_count_of_the_attempts():
    run, state = Run(build(fallback_after_s=1e9)), {}
    run.read()
    run.deliver(pager=AWAY)
    run.wait(30, pager=AWAY)
    apply_changes(state, run.step)
    attempts = len(run.attempts)
    restored = build(run.now)
    list(restored.restore(state.items()))
    again = Run(restored)
    again.now = run.now
    again.deliver()
    assert again.attempts == []  # the next attempt is not due yet
    again.wait(60)
    assert again.summary() == [("pager", 1, "sent", "first_notification", attempts + 1)]


def test_the_fallback_is_notified_after_its_time_and_the_receiver_when_it_is_back():
    run = Run(build(fallback="chat", fallback_after_s=120))
    run.read()
    run.deliver(pager=AWAY)
    run.wait(119, pager=AWAY)
    assert run.notes == []
    run.wait(2, pager=AWAY)
    assert run.summary() == [("chat", 1, "sent", "fallback", 1)]
    assert run.notes[0].reason == "instead of pager: cannot be reached"
    run.read(1, revision=2, status="resolved")
    run.wait(62)
    assert [(note.receiver, note.revision, note.outcome) for note in run.notes[1:]] == [
        ("pager", 1, "suppressed"),
        ("chat", 2, "sent"),
        ("pager", 2, "sent"),
    ]


def test_a_permanent_refusal_goes_to_the_fallback_at_once_to_the_audit_and_to_the_dead_letters():
    run = Run(build(fallback="chat"))
    run.read()
    run.deliver(pager=REFUSED)
    run.deliver()
    assert run.summary() == [("pager", 1, "failed", "receiver_failed", 1), ("chat", 1, "sent", "fallback", 1)]
    [letter] = run.letters
    assert (letter.reason, "answered 404" in letter.detail) == ("receiver_refused", True)


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("P1", (2, "sent", "first_notification")), ("P4", (2, "suppressed", "severity_not_accepted"))],
)
def test_after_a_refusal_a_revision_that_arrived_meanwhile_is_decided_as_new(severity, expected):
    run = Run(build(severities=["P1", "P2", "P3"]))
    run.read()
    [dispatch] = run.step.take_pending()
    run.read(1, revision=2, severity=severity)
    run.use(run.step.record_delivery(dispatch, REFUSED))
    run.deliver()
    assert [note[1:4] for note in run.summary()] == [(1, "failed", "receiver_failed"), expected]


@pytest.mark.parametrize("answers_late", [False, True])
def test_a_receiver_that_is_not_told_the_end_is_told_when_the_incident_is_reopened(answers_late):
    run = Run(build(send_resolved=False))
    run.read()
    [dispatch] = run.step.take_pending()
    if not answers_late:
        run.use(run.step.record_delivery(dispatch, SENT))
    run.read(1, revision=2, status="resolved")
    if answers_late:
        run.use(run.step.record_delivery(dispatch, SENT))
    run.read(2, revision=3)
    run.deliver()
    assert run.summary()[-1] == ("pager", 3, "sent", "status_changed", 1)


CHAT_IS_MUTED = {
    "routes": [
        {"name": "night", "receivers": ["chat"], "mute_times": ["always"], "continue": True},
        {"name": "all", "receivers": ["pager"]},
    ],
    "time_intervals": {"always": {"years": ["2000:2100"]}},
}


@pytest.mark.parametrize("settings", [{}, CHAT_IS_MUTED])
@pytest.mark.parametrize("severity", ["P1", "P3"])
def test_a_fallback_is_told_whatever_its_own_route_and_severities_are_and_a_newer_revision_changes_nothing(
    settings, severity
):
    receivers = [
        {"name": "pager", "console": True, "fallback": "chat"},
        {"name": "chat", "console": True, "severities": ["P1"]},
    ]
    settings = {"receivers": receivers, "default_receivers": ["pager"]} | settings
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    run.read(severity=severity)
    run.deliver(pager=REFUSED)
    run.wait(2, pager=REFUSED, chat=AWAY)
    run.read(1, revision=2, severity=severity)
    run.wait(90, pager=REFUSED)
    [note] = [note for note in run.notes if note.receiver == "chat" and note.outcome == "sent"]
    assert (note.revision, note.reason) == (2, "instead of pager: answered 404")


def test_a_fallback_that_a_silence_holds_back_is_told_when_it_ends():
    run = Run(build(fallback="chat"))
    run.read()
    [dispatch] = run.step.take_pending()
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.use(run.step.record_delivery(dispatch, REFUSED))
    run.wait(58)
    assert run.summary()[1:] == [("chat", 1, "suppressed", "silenced", 0)]
    run.wait(3)
    assert run.summary()[2:] == [("chat", 1, "sent", "silence_ended", 1)]


def test_the_fallback_of_a_fallback_that_a_silence_holds_back_is_told_when_it_ends():
    receivers = [
        {"name": "pager", "console": True, "fallback": "chat"},
        {"name": "chat", "console": True, "fallback": "log"},
        {"name": "log", "console": True, "fallback": "pager"},
    ]
    settings = RouteSettings.model_validate({"receivers": receivers, "default_receivers": ["pager"]})
    run = Run(RouteStep(settings, STARTED))
    run.read()
    run.deliver(pager=REFUSED)
    run.deliver(chat=REFUSED)
    run.use(run.step.step([silence(until=STARTED + 10_000)]))
    run.wait(20)
    assert run.summary()[2:] == [
        ("log", 1, "suppressed", "silenced", 0),
        ("log", 1, "sent", "silence_ended", 1),
    ]


def test_what_is_known_about_a_receiver_is_removed_with_the_receiver():
    run, state = Run(build(messages_per_minute=5)), {}
    run.read()
    run.deliver()
    apply_changes(state, run.step)
    assert b"receiver/pager" in state
    without = RouteStep(RouteSettings(), STARTED)
    assert list(without.restore(list(state.items()))) == []
    apply_changes(state, without)
    assert b"receiver/pager" not in state


def test_two_receivers_that_are_each_others_fallback_do_not_pass_an_incident_back_and_forth():
    receivers = [
        {"name": "pager", "console": True, "fallback": "chat"},
        {"name": "chat", "console": True, "fallback": "pager"},
    ]
    settings = RouteSettings.model_validate({"receivers": receivers, "default_receivers": ["pager"]})
    run = Run(RouteStep(settings, STARTED))
    run.read()
    for _ in range(10):
        run.deliver(pager=REFUSED, chat=AWAY)
    run.wait(500, pager=REFUSED, chat=AWAY)
    assert [note.outcome for note in run.notes].count("failed") <= 2
    run.wait(61)
    assert [note.receiver for note in run.notes if note.outcome == "sent"][:1] == ["chat"]


@pytest.mark.parametrize("is_over", [False, True])
def test_a_page_that_cannot_be_sent_for_too_long_is_dead_lettered_and_goes_to_the_fallback(is_over):
    run = Run(build(give_up_after_s=600, fallback="chat", fallback_after_s=1e9))
    run.read()
    run.deliver(pager=AWAY)
    if is_over:
        run.read(1, revision=2, status="resolved")
    run.wait(700, pager=AWAY)
    assert [(note.receiver, note.outcome, note.reason_code) for note in run.notes if note.revision == 1 + is_over] == [
        ("pager", "failed", "receiver_failed"),
        ("chat", "sent", "fallback"),
    ]
    assert len(run.letters) == 1
    assert run.step.take_pending() == []


def test_a_page_that_cannot_be_sent_for_too_long_is_given_up_with_the_number_of_attempts():
    run = Run(build(give_up_after_s=600))
    run.read()
    run.deliver(pager=AWAY)
    run.wait(700, pager=AWAY)
    [(receiver, revision, outcome, code, attempts)] = run.summary()
    assert (receiver, revision, outcome, code) == ("pager", 1, "failed", "receiver_failed")
    assert run.notes[0].reason == f"cannot be reached; given up after {attempts} attempts"
    assert len(run.letters) == 1
    assert run.step.take_pending() == []


def test_a_notification_that_the_receiver_never_accepts_does_not_stop_the_others():
    run = Run(build(fallback_after_s=1e9))
    run.read(incident_id="inc-bad")
    for number in range(40):
        run.read(number + 1, incident_id=f"inc-{number}")
        run.now += 1000
        run.use(run.step.tick(run.now))
        for dispatch in run.step.take_pending():
            is_bad = dispatch.incident.incident_id == "inc-bad"
            run.use(run.step.record_delivery(dispatch, AWAY if is_bad else SENT))
    sent = {note.incident_id: note.decided_at for note in run.notes}
    assert sent.keys() >= {f"inc-{number}" for number in range(38)}


def test_one_notification_at_a_time_tests_an_unavailable_receiver_and_then_all_are_sent():
    run = Run(build(fallback_after_s=1e9, retry_interval_max_s=30))
    for number in range(50):
        run.read(number, incident_id=f"inc-{number}")
    run.wait(600, pager=AWAY)
    assert len(run.attempts) < 60
    run.wait(31)
    sent = [note for note in run.notes if note.outcome == "sent"]
    assert len(sent) == 50
    assert max(at for at, *_ in run.attempts) - min(note.decided_at for note in sent) < 640_000


def test_a_deferred_notification_was_not_attempted():
    run = Run(build())
    run.read()
    run.deliver(pager=DEFERRED)
    run.deliver()
    assert run.summary() == [("pager", 1, "sent", "first_notification", 1)]


def test_a_pause_that_the_receiver_requests_is_respected():
    run = Run(build(fallback_after_s=1e9))
    run.read()
    run.deliver(pager=Delivery("retry", "answered 429", 1, retry_after_s=90))
    run.read(1, incident_id="inc-other")
    run.wait(89)
    assert len(run.attempts) == 1
    run.wait(3)
    assert len([note for note in run.notes if note.outcome == "sent"]) == 2


def test_a_receiver_gets_at_most_its_messages_per_minute():
    run = Run(build(messages_per_minute=10))
    for number in range(45):
        run.read(number, incident_id=f"inc-{number}")
    run.wait(300)
    times = [at for at, *_ in run.attempts]
    assert len(times) == 45
    for start in times:
        assert len([at for at in times if start <= at < start + 60_000]) <= 10


def test_a_restart_does_not_forget_the_messages_of_the_last_minute():
    limited = {"messages_per_minute": 10}
    run, state, times = Run(build(**limited)), {}, []
    for number in range(45):
        run.read(number, incident_id=f"inc-{number}")
    for _ in range(30):
        run.wait(10)
        times += [at for at, *_ in run.attempts]
        apply_changes(state, run.step)
        restored = build(run.now, **limited)
        assert list(restored.restore(state.items())) == []
        now, run = run.now, Run(restored)
        run.now = now
    assert len(times) == 45
    for start in times:
        assert len([at for at in times if start <= at < start + 60_000]) <= 10


def test_the_end_of_an_incident_that_the_receiver_refuses_goes_to_the_fallback():
    run = Run(build(fallback="chat"))
    run.read()
    run.deliver()
    run.read(1, revision=2, status="resolved")
    run.deliver(pager=REFUSED)
    run.deliver()
    assert [(note.receiver, note.outcome, note.route) for note in run.notes[1:]] == [
        ("pager", "failed", "default"),
        ("chat", "sent", "default"),
    ]


def test_an_incident_that_waits_behind_others_goes_to_the_fallback_too():
    run = Run(build(fallback="chat", fallback_after_s=120))
    for number in range(30):
        run.read(number, incident_id=f"inc-{number}")
    for _ in range(130):
        run.now += 1000
        run.use(run.step.tick(run.now))
        # As the sender does, attempt the first notification of a receiver that is away, and defer the others.
        answers = iter([AWAY] + [DEFERRED] * 30)
        for dispatch in run.step.take_pending():
            run.use(run.step.record_delivery(dispatch, SENT if dispatch.receiver == "chat" else next(answers)))
    assert len({note.incident_id for note in run.notes if note.receiver == "chat"}) == 30
    assert {note.reason for note in run.notes} == {"instead of pager: cannot be reached"}


def test_a_fallback_that_is_added_later_is_notified():
    run, state = Run(build()), {}
    run.read()
    run.deliver(pager=AWAY)
    run.wait(400, pager=AWAY)
    apply_changes(state, run.step)
    again = Run(build(run.now, fallback="chat"))
    list(again.step.restore(state.items()))
    again.now = run.now
    again.wait(2, pager=AWAY)
    assert again.summary() == [("chat", 1, "sent", "fallback", 1)]


def test_a_fallback_that_was_told_the_end_is_told_when_the_incident_is_reopened():
    run = Run(build(fallback="chat", fallback_after_s=10))
    run.read()
    run.wait(30, pager=AWAY)
    run.read(1, revision=2, status="resolved")
    run.wait(70)
    run.read(2, revision=3, severity="P1")
    run.wait(90, pager=AWAY)
    assert [(note.revision, note.outcome) for note in run.notes if note.receiver == "chat"] == [
        (1, "sent"),
        (2, "sent"),
        (3, "sent"),
    ]


@pytest.mark.parametrize("receiver", [{}, {"messages_per_minute": 1}])
def test_a_clock_that_goes_back_an_hour_stops_no_page(receiver):
    run = Run(build(**receiver))
    run.read()
    run.deliver(**({} if receiver else {"pager": AWAY}))
    run.now -= 3_600_000
    run.wait(1)
    run.read(1, incident_id="inc-other")
    run.wait(3)
    assert {note.incident_id for note in run.notes if note.outcome == "sent"} == {"inc-3f9a21c0b7", "inc-other"}


def test_a_clock_that_goes_back_during_an_attempt_that_is_deferred_stops_nothing():
    run = Run(build())
    run.read()
    [dispatch] = run.step.take_pending()
    run.use(run.step.tick(STARTED - 60_000))
    run.use(run.step.record_delivery(dispatch, DEFERRED))
    run.deliver()
    assert run.summary() == [("pager", 1, "sent", "first_notification", 1)]


@pytest.mark.parametrize("receiver", [{}, {"messages_per_minute": 1}])
def test_a_worker_whose_clock_is_an_hour_behind_that_of_the_one_before_stops_no_page(receiver):
    run, state = Run(build(**receiver)), {}
    run.read()
    run.deliver(**({} if receiver else {"pager": AWAY}))
    apply_changes(state, run.step)
    again = Run(build(STARTED - 3_600_000, **receiver))
    list(again.step.restore(state.items()))
    again.now = STARTED - 3_600_000
    again.read(1, incident_id="inc-other")
    again.wait(3)
    sent = {note.incident_id for note in run.notes + again.notes if note.outcome == "sent"}
    assert sent == {"inc-3f9a21c0b7", "inc-other"}


def test_a_replay_has_no_limit_per_minute_because_its_clock_stands_still():
    step = build(None, messages_per_minute=5)
    step.step([alert(incident(incident_id=f"inc-{number}"), number) for number in range(15)])
    assert len(step.take_pending()) == 15


def test_what_is_owed_is_held_back_by_a_silence_that_begins_meanwhile():
    run = Run(build())
    run.read()
    run.deliver(pager=AWAY)
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.wait(59)
    assert run.summary() == [("pager", 1, "suppressed", "silenced", 0)]
    run.wait(2)
    assert run.summary()[1:] == [("pager", 1, "sent", "silence_ended", 1)]


def test_a_silence_holds_back_after_a_crash_during_an_attempt():
    run, state = Run(build()), {}
    run.read()
    run.step.take_pending()
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.read(1, revision=2, severity="P1")
    apply_changes(state, run.step)
    again = Run(build())
    list(again.step.restore(state.items()))
    again.deliver()
    assert again.attempts == []
    again.wait(61)
    assert again.summary() == [("pager", 2, "sent", "silence_ended", 1)]


@pytest.mark.parametrize("delivery", [SENT, DEFERRED])
def test_a_silence_that_begins_during_an_attempt_holds_the_next_attempt_back(delivery):
    run = Run(build())
    run.read()
    [dispatch] = run.step.take_pending()
    if delivery is SENT:
        run.read(1, revision=2, severity="P1")
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.use(run.step.tick(STARTED + 1000))
    run.use(run.step.record_delivery(dispatch, delivery))
    assert run.step.take_pending() == []
    run.now = STARTED + 60_000
    run.wait(1)
    assert run.summary()[-1][1:4] == (2 if delivery is SENT else 1, "sent", "silence_ended")


def test_a_silence_holds_the_fallback_back_too_if_it_begins_during_an_attempt():
    receivers = [
        {"name": "pager", "console": True, "fallback": "chat"},
        {"name": "chat", "console": True, "severities": ["P1"]},
    ]
    settings = {"receivers": receivers, "default_receivers": ["pager", "chat"]}
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    run.read()
    [dispatch] = run.step.take_pending()
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.read(1, revision=2, severity="P1")
    run.use(run.step.record_delivery(dispatch, REFUSED))
    run.deliver()
    run.wait(50)
    assert run.attempts == []


@pytest.mark.parametrize("limit", ["incidents_max", "stored_alerts_max"])
@pytest.mark.parametrize("delivery", [SENT, AWAY, REFUSED])
def test_an_incident_that_is_dropped_during_an_attempt_has_one_outcome(limit, delivery):
    settings = {"receivers": [{"name": "pager", "console": True}], "default_receivers": ["pager"], limit: 1}
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    run.read(incident_id="inc-a")
    [dispatch] = run.step.take_pending()
    run.read(1, incident_id="inc-b")
    run.use(run.step.record_delivery(dispatch, delivery))
    outcomes = [note.outcome for note in run.notes if note.incident_id == "inc-a"]
    assert outcomes == ["sent" if delivery is SENT else "failed"]
    assert len(run.letters) == (delivery is not SENT) + sum(note.incident_id == "inc-b" for note in run.notes)


@pytest.mark.parametrize("delivery", [SENT, AWAY, REFUSED])
def test_an_incident_that_is_dropped_during_an_attempt_and_then_over_stops_nothing(delivery):
    receivers = [{"name": "pager", "console": True}, {"name": "chat", "console": True}]
    routes = [{"name": "a", "matchers": ["incident_id=inc-a"], "receivers": ["pager"]}]
    settings = {"receivers": receivers, "default_receivers": ["chat"], "routes": routes, "incidents_max": 1}
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    run.read(incident_id="inc-a")
    [dispatch] = run.step.take_pending()
    run.read(1, incident_id="inc-b")
    run.deliver()
    run.read(2, incident_id="inc-b", revision=2, status="resolved")
    run.deliver()
    run.read(3, incident_id="inc-a", revision=2, status="resolved")
    run.use(run.step.record_delivery(dispatch, delivery))
    run.wait(10)
    assert [note.outcome for note in run.notes if note.incident_id == "inc-a"] == [
        "suppressed",
        "sent" if delivery is SENT else "failed",
    ]


def test_a_newer_revision_that_exceeds_a_limit_during_an_attempt_is_dead_lettered():
    receivers = [{"name": "pager", "console": True}]
    settings = {"receivers": receivers, "default_receivers": ["pager"], "stored_alerts_max": 1}
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    run.read(incident_id="inc-a")
    [dispatch] = run.step.take_pending()
    run.read(1, incident_id="inc-a", revision=2, severity="P1")
    run.read(2, incident_id="inc-b")
    run.use(run.step.record_delivery(dispatch, SENT))
    run.wait(10)
    outcomes = [(note.revision, note.outcome) for note in run.notes if note.incident_id == "inc-a"]
    assert outcomes == [(2, "failed"), (1, "sent")]
    assert len(run.letters) == 1


def test_what_is_given_up_after_a_crash_during_an_attempt_has_a_key_of_its_own():
    run, state = Run(build()), {}
    run.read()
    run.step.take_pending()
    run.read(1, revision=2)
    apply_changes(state, run.step)
    run.step = RouteStep(RouteSettings(), STARTED)
    assert list(run.step.restore(list(state.items()))) == []
    run.wait(1)
    keys = [note.notification_id for note in run.notes if note.receiver == "pager"]
    assert [note.outcome for note in run.notes if note.receiver == "pager"] == ["suppressed", "failed"]
    assert len(set(keys)) == 2


def test_a_newer_revision_is_not_given_up_because_an_older_one_waited_long():
    run = Run(build(give_up_after_s=600))
    run.read()
    run.deliver(pager=AWAY)
    run.wait(590, pager=AWAY)
    run.read(1, revision=2, severity="P1")
    run.wait(120, pager=AWAY)
    run.wait(61)
    assert [(note.revision, note.outcome) for note in run.notes] == [(1, "suppressed"), (2, "sent")]


def test_nothing_is_given_up_after_a_long_stop_of_the_worker_without_an_attempt():
    run, state = Run(build(give_up_after_s=600)), {}
    run.read()
    run.deliver(pager=AWAY)
    apply_changes(state, run.step)
    again = Run(build(STARTED + 10_000_000))
    list(again.step.restore(state.items()))
    again.now = STARTED + 10_000_000
    again.wait(1)
    assert again.summary() == [("pager", 1, "sent", "first_notification", 2)]


def test_the_oldest_notification_is_sent_first_after_a_restart_too():
    run, state = Run(build(messages_per_minute=1)), {}
    for offset, name in enumerate("cab"):
        run.read(offset, incident_id=name)
        run.now += 1000
        run.use(run.step.tick(run.now))
    apply_changes(state, run.step)
    again = Run(build(run.now, messages_per_minute=1))
    list(again.step.restore(state.items()))
    again.now = run.now
    again.wait(190)
    assert [note.incident_id for note in again.notes] == ["c", "a", "b"]


def test_a_pause_that_the_receiver_requests_survives_a_restart():
    run, state = Run(build()), {}
    run.read()
    run.deliver(pager=Delivery("retry", "answered 429", 1, retry_after_s=90))
    apply_changes(state, run.step)
    again = Run(build())
    list(again.step.restore(state.items()))
    again.read(1, incident_id="inc-other")
    again.wait(89)
    assert again.attempts == []
    again.wait(3)
    assert len(again.attempts) == 2


def test_notifications_that_always_fail_are_not_repeated_after_each_success_of_others():
    run = Run(build(give_up_after_s=1e5))
    for name in ("bad-1", "bad-2"):
        run.read(incident_id=name)
    for number in range(60):
        run.read(number, incident_id=f"inc-{number}")
        for _ in range(10):
            run.now += 1000
            run.use(run.step.tick(run.now))
            for dispatch in run.step.take_pending():
                is_bad = dispatch.incident.incident_id.startswith("bad")
                run.attempts.append(dispatch.incident.incident_id)
                run.use(run.step.record_delivery(dispatch, AWAY if is_bad else SENT))
    assert len({note.incident_id for note in run.notes}) == 60
    assert run.attempts.count("bad-1") < 30


def test_what_is_owed_to_a_receiver_that_was_removed_from_the_settings_is_dead_lettered():
    run, state = Run(build()), {}
    run.read()
    run.deliver(pager=AWAY)
    apply_changes(state, run.step)
    restored = RouteStep(RouteSettings(), STARTED)
    list(restored.restore(state.items()))
    again = Run(restored)
    again.wait(1)
    assert again.notes[0].reason == "the receiver was removed from the settings"
    assert len(again.letters) == 1


def test_the_end_that_is_owed_to_a_receiver_that_was_removed_is_dead_lettered_too():
    run, state = Run(build()), {}
    run.read()
    run.deliver(pager=AWAY)
    run.read(1, revision=2, status="resolved")
    apply_changes(state, run.step)
    again = Run(RouteStep(RouteSettings(), STARTED))
    list(again.step.restore(state.items()))
    again.wait(1)
    assert [(note.revision, note.outcome) for note in again.notes] == [(2, "failed")]
    assert len(again.letters) == 1


@pytest.mark.parametrize("limit", ["incidents_max", "stored_alerts_max"])
def test_what_is_owed_beyond_a_limit_is_dead_lettered_and_nothing_is_lost(limit):
    receivers = [{"name": "pager", "console": True}]
    settings = {"receivers": receivers, "default_receivers": ["pager"], limit: 5}
    run = Run(RouteStep(RouteSettings.model_validate(settings), STARTED))
    for number in range(12):
        run.read(number, incident_id=f"inc-{number}")
    assert [note.reason for note in run.notes] == [f"not kept, because route.{limit} is exceeded"] * 7
    assert len(run.letters) == 7
    run.wait(1)
    assert len([note for note in run.notes if note.outcome == "sent"]) == 5


def test_a_silence_holds_back_a_newer_revision_of_what_is_owed_and_its_end_is_told():
    run = Run(build(fallback_after_s=1e9))
    run.read()
    run.deliver(pager=AWAY)
    run.use(run.step.step([silence(at=STARTED, until=STARTED + 60_000)]))
    run.read(1, revision=2, severity="P1")
    run.wait(59)
    assert run.summary() == [("pager", 1, "suppressed", "superseded", 0), ("pager", 2, "suppressed", "silenced", 0)]
    run.wait(2)
    assert run.summary()[2:] == [("pager", 2, "sent", "silence_ended", 1)]
