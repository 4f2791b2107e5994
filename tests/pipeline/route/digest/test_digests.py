"""What a digest contains, when it is decided, and that it is owed until its receivers accept it."""

import json
from base64 import b64decode

import pytest
from pydantic import ValidationError

from pipeline.route import Delivery, NoticeDispatch, RouteSettings, RouteStep
from schemas.dead_letter import DeadLetter
from schemas.notice import DIGEST_INCIDENTS_MAX, Notice
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.digest.samples import ms
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_step import apply_changes

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SENT = Delivery("sent", "", 1, STARTED)
NINE = ms("2026-11-24T09:00Z")
DIGEST = {"name": "morning", "receivers": ["mail"], "time": "09:00"}
RECEIVERS = [{"name": "console", "console": True}, {"name": "mail", "console": True}]


def settings(*digests, **fields):
    fields = {"receivers": RECEIVERS, "digests": digests or [DIGEST], "repeat_interval_s": 1e9} | fields
    return RouteSettings.model_validate(fields)


def live(*digests, **fields):
    """A step whose digests have begun."""
    step = RouteStep(settings(*digests, **fields), STARTED)
    assert step.tick(STARTED) == []
    return step


def notices(outputs):
    return [
        Notice.from_json(output.value)
        for output in outputs
        if output.topic == NOTIFICATIONS and b'"type":"notice"' in output.value
    ]


def send(step, delivery=SENT):
    """Answer every attempt that is due, and return the contents of the digests that were attempted, and the notices."""
    digests, outputs = [], []
    for dispatch in step.take_pending():
        is_notice = isinstance(dispatch, NoticeDispatch)
        digests += [dispatch.content] if is_notice else []
        outputs += step.record_delivery(dispatch, delivery if is_notice else SENT)
    return digests, outputs


def revise(step, name, offset=0, **changes):
    step.step([alert(incident(incident_id=name, **changes), offset)])
    send(step)


def digest_at(step, at):
    step.tick(at)
    [digest] = send(step)[0]
    return digest


def ids(section):
    return [one.incident_id for one in section.incidents]


def test_a_digest_contains_p4_incidents_old_p3_incidents_and_suppressed_ones():
    step = live()
    revise(step, "open", 1, severity="P4")
    revise(step, "over", 2, severity="P4", status="resolved", started_at=STARTED - 1)
    revise(step, "old", 3, started_at=NINE - DAY_MS)
    revise(step, "young", 4, started_at=NINE - DAY_MS + 1)
    revise(step, "old and over", 5, started_at=NINE - 2 * DAY_MS, status="resolved")
    step.step([silence(matchers=["incident_id=hidden"])])
    revise(step, "hidden", 6, severity="P1")
    digest = digest_at(step, NINE)
    assert (ids(digest.p4), ids(digest.stale_p3), ids(digest.suppressed)) == (["open", "over"], ["old"], ["hidden"])
    assert (digest.name, digest.since, digest.until) == ("morning", STARTED, NINE)
    [hidden] = digest.suppressed.incidents
    assert (hidden.severity, hidden.title) == ("P1", "support-bot refuses 9.1 % of requests")
    [suppression] = hidden.suppressions
    assert suppression.reason_code == "silenced"
    assert suppression.reason == "silenced by ana until 2026-11-24T04:12:00.000Z (silence-1)"


def test_what_happens_at_the_time_of_a_digest_is_in_the_next_one_only():
    step = live()
    revise(step, "first", severity="P4", status="resolved")
    assert ids(digest_at(step, NINE).p4) == ["first"]
    revise(step, "second", 1, severity="P4", status="resolved")
    assert ids(digest_at(step, NINE + DAY_MS).p4) == ["second"]
    step.tick(NINE + 2 * DAY_MS)
    assert send(step)[0] == []


def test_what_is_still_suppressed_is_in_every_digest_and_what_was_is_in_the_next():
    step = live()
    step.step([silence(matchers=["incident_id=hidden"], until=NINE + DAY_MS + HOUR_MS)])
    revise(step, "hidden", 1)
    assert ids(digest_at(step, NINE).suppressed) == ["hidden"]
    assert ids(digest_at(step, NINE + DAY_MS).suppressed) == ["hidden"]
    step.tick(NINE + DAY_MS + HOUR_MS)
    send(step)
    assert ids(digest_at(step, NINE + 2 * DAY_MS).suppressed) == []


def test_each_kind_of_obstacle_is_named_with_its_last_reason():
    intervals = {"night": {"times": [{"start_time": "00:00", "end_time": "05:00"}]}}
    intervals["day"] = {"times": [{"start_time": "06:00", "end_time": "24:00"}]}
    step = live(
        time_intervals=intervals,
        routes=[
            {"name": "m", "matchers": ["incident_id=m"], "receivers": ["console"], "mute_times": ["night"]},
            {"name": "a", "matchers": ["incident_id=a"], "receivers": ["console"], "active_times": ["day"]},
        ],
        inhibit=[{"source": ["incident_id=source"], "target": ["incident_id=i"]}],
    )
    revise(step, "source", 1)
    for offset, name in enumerate(("m", "a", "i"), 2):
        revise(step, name, offset)
    step.step([silence(matchers=["incident_id=m"], until=STARTED + DAY_MS)])
    step.tick(ms("2026-11-24T05:00Z"))
    reasons = {
        one.incident_id: [(why.reason_code, why.reason.partition(" until")[0]) for why in one.suppressions]
        for one in digest_at(step, NINE).suppressed.incidents
    }
    assert reasons == {
        "m": [("muted", "muted by the time interval night"), ("silenced", "silenced by ana")],
        "a": [("outside_active_time", "outside the active times day")],
        "i": [("inhibited", "inhibited by source, which is open")],
    }


def test_a_digest_contains_only_the_incidents_that_match_with_the_labels_of_the_configuration():
    step = live(
        {**DIGEST, "matchers": ['team="search"']},
        labels=[{"matchers": ["incident_id=one"], "labels": {"team": "search"}}],
    )
    revise(step, "one", severity="P4")
    revise(step, "two", 1, severity="P4")
    assert ids(digest_at(step, NINE).p4) == ["one"]


def test_a_section_lists_the_newest_incidents_up_to_its_limit_and_counts_all():
    step = live()
    for number in range(DIGEST_INCIDENTS_MAX + 7):
        revise(step, f"inc-{number}", number, severity="P4", started_at=STARTED + number)
    section = digest_at(step, NINE).p4
    assert (section.total, len(section.incidents)) == (DIGEST_INCIDENTS_MAX + 7, DIGEST_INCIDENTS_MAX)
    assert section.incidents[0].incident_id == f"inc-{DIGEST_INCIDENTS_MAX + 6}"


def test_an_empty_digest_is_not_sent_and_the_notice_says_so():
    step = live()
    outputs = step.tick(NINE)
    assert send(step) == ([], [])
    [notice] = notices(outputs)
    assert (notice.notification_id, notice.outcome) == ("digest:morning:2026-11-24:mail", "suppressed")
    assert (notice.reason_code, notice.digest) == ("digest_empty", None)
    assert step.tick(NINE + HOUR_MS) == []


def test_a_digest_is_sent_once_to_each_receiver_and_recorded_with_its_content():
    step = live({**DIGEST, "receivers": ["mail", "console", "mail"]})
    revise(step, "one", severity="P4")
    step.tick(NINE)
    digests, outputs = send(step)
    assert [ids(digest.p4) for digest in digests] == [["one"], ["one"]]
    sent = notices(outputs)
    assert [(notice.receiver, notice.outcome, notice.attempts) for notice in sent] == [
        ("console", "sent", 1),
        ("mail", "sent", 1),
    ]
    assert sent[0].digest == digests[0]
    assert not step.has_pending()
    step.tick(NINE + HOUR_MS)
    assert send(step) == ([], [])


def test_a_new_digest_begins_with_the_next_one_that_is_due():
    step = RouteStep(settings(), NINE + HOUR_MS)
    revise(step, "one", severity="P4")
    step.tick(NINE + HOUR_MS)
    step.tick(NINE + DAY_MS - 1)
    assert send(step) == ([], [])
    assert ids(digest_at(step, NINE + DAY_MS).p4) == ["one"]


def restarted(step, at, *digests, **fields):
    state = {}
    apply_changes(state, step)
    later = RouteStep(settings(*digests, **fields), at)
    assert list(later.restore(list(state.items()))) == []
    return later


def test_a_digest_that_was_missed_is_sent_late_and_once():
    step = live()
    revise(step, "one", severity="P4")
    step = restarted(step, NINE + 50 * HOUR_MS)
    digest = digest_at(step, NINE + 50 * HOUR_MS)
    assert (digest.since, digest.until, ids(digest.p4)) == (STARTED, NINE + 50 * HOUR_MS, ["one"])
    step = restarted(step, NINE + 51 * HOUR_MS)
    step.tick(NINE + 51 * HOUR_MS)
    assert send(step) == ([], [])


def test_a_digest_that_was_decided_is_owed_over_a_restart_with_the_same_key_and_content():
    step = live()
    revise(step, "one", severity="P4")
    step.tick(NINE)
    [before] = step.take_pending()
    step = restarted(step, NINE + 1000)
    step.tick(NINE + 1000)
    [after] = step.take_pending()
    assert (after.notification_id, after.content) == (before.notification_id, before.content)


def test_a_small_step_back_of_the_clock_does_not_repeat_a_digest_and_a_large_one_does_not_stop_it():
    step = live()
    revise(step, "one", severity="P4")
    digest_at(step, NINE)
    step.tick(NINE - HOUR_MS)
    revise(step, "two", 1, severity="P4", status="resolved")
    step.tick(NINE + 1000)
    assert send(step)[0] == []
    assert ids(digest_at(step, NINE + DAY_MS).p4) == ["one", "two"]
    step.tick(NINE + 1000 * DAY_MS)
    assert len(send(step)[0]) == 1
    step.tick(NINE + 2 * DAY_MS - 1)
    assert send(step)[0] == []
    digest_at(step, NINE + 2 * DAY_MS)


def test_in_a_replay_the_time_of_the_revisions_decides_before_the_revision_is_read():
    step = RouteStep(settings(), None)
    revise(step, "one", 0, severity="P4", updated_at=STARTED)
    revise(step, "two", 1, severity="P4", updated_at=NINE - 1)
    assert step.take_pending() == []
    step.step([alert(incident(incident_id="three", severity="P4", updated_at=NINE + DAY_MS), 2)])
    [digest] = send(step)[0]
    assert (ids(digest.p4), digest.until) == (["one", "two"], NINE + DAY_MS)


def test_a_digest_that_is_not_accepted_is_repeated_with_back_off_and_stops_no_notification():
    step = live()
    revise(step, "one", severity="P4")
    step.tick(NINE)
    assert len(send(step, Delivery("retry", "cannot be reached", 1))[0]) == 1
    revise(step, "two", 1)  # accepted by the console
    assert send(step) == ([], [])
    step.tick(NINE + 500)
    assert send(step)[0] == []
    step.tick(NINE + 2000)
    [notice] = notices(send(step)[1])
    assert (notice.outcome, notice.attempts) == ("sent", 2)


def test_a_digest_and_notifications_share_the_limit_of_a_receiver():
    step = live(receivers=[{"name": "mail", "console": True, "messages_per_minute": 1}], default_receivers=["mail"])
    revise(step, "one", severity="P4")
    step.step([alert(incident(incident_id="two"), 1)])
    step.tick(NINE)
    assert len(step.take_pending()) == 1


@pytest.mark.parametrize(
    ("delivery", "at", "problem"),
    [
        (Delivery("failed", "answered 404", 1), NINE, "answered 404"),
        (
            Delivery("retry", "cannot be reached", 1),
            NINE + DAY_MS - 1,
            "cannot be reached; given up after 1 attempts",
        ),
    ],
)
def test_a_digest_that_is_refused_or_given_up_is_recorded_and_dead_lettered_with_its_content(delivery, at, problem):
    step = live(receivers=[RECEIVERS[0], RECEIVERS[1] | {"give_up_after_s": 3600}])
    revise(step, "one", severity="P4")
    step.tick(NINE)
    step.tick(at)
    outputs = send(step, delivery)[1]
    [notice] = notices(outputs)
    assert (notice.outcome, notice.reason_code, notice.reason) == ("failed", "receiver_failed", problem)
    [letter] = [DeadLetter.from_json(output.value) for output in outputs if output.topic == DEAD_LETTERS]
    assert (letter.reason, letter.detail) == (
        "receiver_refused",
        f"notice digest:morning:2026-11-24:mail to mail was not sent: {problem}",
    )
    assert json.loads(b64decode(letter.value_base64))["digest"]["p4"]["incidents"][0]["incident_id"] == "one"


def test_what_is_owed_to_a_receiver_that_was_removed_is_given_up_and_a_removed_digest_is_forgotten():
    step = live()
    revise(step, "one", severity="P4")
    step.tick(NINE)
    other = {"name": "other", "receivers": ["console"], "time": "09:00"}
    step = restarted(step, NINE + 1000, other, receivers=RECEIVERS[:1])
    outputs = step.tick(NINE + 1000)
    [notice] = notices(outputs)
    assert (notice.outcome, notice.reason) == ("failed", "the receiver was removed from the settings")
    state = {}
    apply_changes(state, step)
    assert state.keys() & {b"digest/morning", b"notice/digest:morning:2026-11-24"} == set()


def test_beyond_the_limit_the_oldest_digests_are_given_up():
    step = live(notices_max=2)
    revise(step, "one", severity="P4")
    outputs = step.tick(NINE)
    send(step, Delivery("deferred", "", 0))
    for day in range(1, 4):
        outputs += step.tick(NINE + day * DAY_MS)
    given_up = notices(outputs)
    assert [notice.notification_id for notice in given_up] == [
        "digest:morning:2026-11-24:mail",
        "digest:morning:2026-11-25:mail",
    ]
    assert {notice.reason for notice in given_up} == {"not kept, because route.notices_max is exceeded"}
    assert len(send(step)[0]) == 2


@pytest.mark.parametrize(
    ("digest", "problem"),
    [
        ({"time": "9:00"}, "'9:00' is not a time; write HH:MM"),
        ({"time": "24:00"}, "24:00 is not on the same day; write 00:00"),
        ({"weekdays": ["friday:monday"]}, "ends before it begins"),
        ({"location": "Europe/Berlim"}, 'did you mean "Europe/Berlin"?'),
        ({"receivers": ["mial"]}, "digest 'morning' names receiver 'mial', which does not exist"),
        ({"matchers": ["sevrity=P1"]}, "digest 'morning': unknown label"),
        (
            {"receivers": ["pager"]},
            "the receiver 'pager' cannot send a digest, because it is of the kind pagerduty; use a receiver of",
        ),
    ],
)
def test_a_digest_that_cannot_be_sent_is_refused(digest, problem):
    receivers = [*RECEIVERS, {"name": "pager", "pagerduty": {"routing_key": "key"}}]
    with pytest.raises(ValidationError) as error:
        settings({**DIGEST, **digest}, receivers=receivers)
    assert problem in str(error.value)


def test_two_digests_with_one_name_are_refused():
    with pytest.raises(ValidationError, match="two digests have the name 'morning'"):
        settings(DIGEST, DIGEST)
