"""What nobody acknowledges in time goes to further receivers."""

import pytest

from pipeline.route import Delivery, RouteStep
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from tests.pipeline.route.test_clock import FAILED, SENT, settings
from tests.pipeline.route.test_clock import play as play_notes
from tests.pipeline.route.test_step import apply_changes

MINUTE_MS = 60_000
DUE = STARTED + 15 * MINUTE_MS
RECEIVERS = [{"name": name, "console": True} for name in ("pager", "manager", "director")]
ESCALATIONS = [
    {"name": "second", "receivers": ["manager"], "after_s": 900},
    {"name": "third", "receivers": ["director"], "after_s": 1800},
]
FIELDS = {"receivers": RECEIVERS, "default_receivers": ["pager"], "escalations": ESCALATIONS}
P1 = {"severity": "P1"}


def live(**fields):
    return RouteStep(settings(**FIELDS | fields), STARTED)


def play(step, *inputs, delivery=SENT):
    """Return receiver, outcome and code of each notification."""
    notes = play_notes(step, *inputs, delivery=delivery)
    return [(key.rpartition(":")[2], outcome, code) for key, outcome, code, _ in notes]


def test_an_incident_that_nobody_acknowledges_goes_to_the_next_receivers_one_after_another():
    step = live()
    assert play(step, alert(incident(**P1)), DUE - 1) == [("pager", "sent", "first_notification")]
    assert play(step, DUE, DUE + 1) == [("manager", "sent", "escalated")]
    assert play(step, DUE + 15 * MINUTE_MS) == [("director", "sent", "escalated")]
    assert play(step, DUE + 16 * MINUTE_MS) == []


def test_the_reason_names_the_time_and_the_route_is_the_escalation():
    step = live()
    play(step, alert(incident(**P1)))
    step.tick(DUE)
    (dispatch,) = step.take_pending()
    assert (dispatch.route, dispatch.reason.text) == ("second", "not acknowledged within 15 min: P1 open")


@pytest.mark.parametrize("status", ["acknowledged", "mitigated", "resolved"])
def test_an_incident_for_which_somebody_acted_is_not_escalated(status):
    step = live()
    play(step, alert(incident(**P1)), alert(incident(revision=2, status=status, **P1), 1))
    assert play(step, DUE, DUE + 60 * MINUTE_MS) == []


def test_an_escalation_begins_again_when_an_acknowledgement_is_withdrawn():
    step = live()
    play(step, alert(incident(**P1)), alert(incident(revision=2, status="acknowledged", **P1), 1))
    assert play(step, DUE) == []
    assert play(step, alert(incident(revision=3, **P1), 2)) == [("pager", "sent", "status_changed")]
    assert play(step, DUE + 15 * MINUTE_MS - 1) == []
    assert play(step, DUE + 15 * MINUTE_MS) == [("manager", "sent", "escalated")]


AWAY = Delivery("retry", "cannot be reached", 1)


@pytest.mark.parametrize("is_in_flight", [False, True])
@pytest.mark.parametrize("changes", [{"status": "acknowledged"}, {"status": "mitigated"}, {"severity": "P3"}])
def test_an_escalation_that_is_not_sent_when_somebody_acts_is_withdrawn(changes, is_in_flight):
    step = live()
    play(step, alert(incident(**P1)))
    assert play(step, DUE, delivery=AWAY) == []
    second = alert(incident(**P1 | changes, revision=2), 1)
    if is_in_flight:
        step.tick(DUE + 60_000)
        (dispatch,) = step.take_pending()
        notes = play(step, second)
        outputs = step.record_delivery(dispatch, AWAY)
        notes += play(step, DUE + 61_000)
        assert len(outputs) == 2
    else:
        notes = play(step, second)
        assert ("manager", "suppressed", "escalation_ended") in notes
    assert [note for note in notes if note[0] == "manager" and note[1] != "suppressed"] == []
    assert not step.has_pending()
    assert play(step, DUE + 10 * MINUTE_MS, DUE + 60 * MINUTE_MS) == []
    assert play(step, alert(incident(**P1, revision=3, status="resolved"), 2))[0][:2] == ("pager", "sent")


def test_an_escalation_that_is_not_sent_before_the_end_tells_the_end_once():
    step = live()
    play(step, alert(incident(**P1)))
    play(step, DUE, delivery=AWAY)
    notes = play(step, alert(incident(**P1, revision=2, status="resolved"), 1), DUE + 1000, DUE + 2000, delivery=AWAY)
    assert notes == [("manager", "suppressed", "superseded")]
    notes = play(step, *(DUE + 1000 * second for second in range(60, 70)))
    assert sorted(notes) == [("manager", "sent", "status_changed"), ("pager", "sent", "status_changed")]


def test_a_withdrawn_escalation_leaves_the_receiver_to_its_own_route():
    night = {"times": [{"start_time": "03:00", "end_time": "05:00"}]}
    routes = [
        {"name": "all", "receivers": ["pager"], "continue": True},
        {"name": "quiet", "receivers": ["manager"], "mute_times": ["night"]},
    ]
    step = live(routes=routes, time_intervals={"night": night}, escalations=ESCALATIONS[:1])
    play(step, alert(incident(**P1)))
    assert play(step, DUE, delivery=AWAY) == []
    notes = play(step, alert(incident(**P1, revision=2, status="acknowledged"), 1))
    assert ("manager", "suppressed", "muted") in notes
    assert play(step, STARTED + 108 * MINUTE_MS) == [("manager", "sent", "mute_ended")]


def test_an_escalated_receiver_is_told_the_changes_and_the_end():
    step = live()
    play(step, alert(incident(**P1)), DUE)
    changes = [
        alert(incident(revision=2, status="acknowledged", **P1), 1),
        alert(incident(revision=3, status="resolved", **P1), 2),
    ]
    assert play(step, *changes, DUE + 60 * MINUTE_MS) == [
        ("pager", "sent", "status_changed"),
        ("manager", "sent", "status_changed"),
        ("pager", "sent", "status_changed"),
        ("manager", "sent", "status_changed"),
    ]


def test_the_time_begins_when_the_incident_matches():
    step = live()
    play(step, alert(incident()), STARTED + 10 * MINUTE_MS, alert(incident(revision=2, **P1), 1))
    assert play(step, STARTED + 25 * MINUTE_MS - 1) == []
    assert play(step, STARTED + 25 * MINUTE_MS) == [("manager", "sent", "escalated")]


def test_an_incident_of_which_nobody_was_told_is_not_escalated_until_somebody_is():
    step = live()
    assert play(step, silence(), alert(incident(**P1)), DUE) == [("pager", "suppressed", "silenced")]
    ended = STARTED + 60 * MINUTE_MS
    assert play(step, ended) == [("pager", "sent", "silence_ended")]
    assert play(step, ended + 15 * MINUTE_MS - 1) == []
    assert play(step, ended + 15 * MINUTE_MS) == [("manager", "sent", "escalated")]


def test_a_receiver_that_does_not_answer_does_not_stop_the_escalation():
    step = live()
    play(step, alert(incident(**P1)), delivery=Delivery("retry", "cannot be reached", 1))
    assert ("manager", "sent", "escalated") in play(step, DUE)


def test_a_silence_holds_an_escalation_back_until_it_ends():
    step = live()
    play(step, alert(incident(**P1)), silence())
    assert play(step, DUE) == [("manager", "suppressed", "silenced")]
    assert ("manager", "sent", "silence_ended") in play(step, STARTED + 60 * MINUTE_MS)


def test_an_escalation_is_decided_once_if_its_receiver_does_not_accept_the_severity():
    receivers = [*RECEIVERS[:1], RECEIVERS[1] | {"severities": ["P1"]}, RECEIVERS[2]]
    step = live(receivers=receivers)
    play(step, alert(incident(severity="P2")))
    assert play(step, DUE, DUE + 1000) == [("manager", "suppressed", "severity_not_accepted")]
    assert ("manager", "sent", "escalated") in play(step, alert(incident(revision=2, **P1), 1))


def test_a_refused_escalation_is_tried_with_the_next_revision():
    step = live()
    play(step, alert(incident(**P1)))
    assert play(step, DUE, delivery=FAILED) == [("manager", "failed", "receiver_failed")]
    assert ("manager", "sent", "escalated") in play(step, alert(incident(revision=2, severity="P2"), 1))


def test_a_receiver_that_knows_the_incident_is_not_told_again():
    step = live(escalations=[{"name": "again", "receivers": ["pager"], "after_s": 900}])
    play(step, alert(incident(**P1)))
    assert play(step, DUE, DUE + 1000) == []


def test_a_reopened_incident_escalates_again():
    step = live()
    play(step, alert(incident(**P1)), DUE, alert(incident(revision=2, status="resolved", **P1), 1))
    reopened = DUE + 5 * MINUTE_MS
    play(step, reopened, alert(incident(revision=3, **P1), 2))
    assert play(step, reopened + 15 * MINUTE_MS - 1) == []
    assert ("manager", "sent", "escalated") in play(step, reopened + 15 * MINUTE_MS)


@pytest.mark.parametrize("restart_at", [STARTED + MINUTE_MS, DUE])
def test_a_restart_neither_loses_nor_repeats_an_escalation(restart_at):
    step, state = live(), {}
    play(step, alert(incident(**P1)), restart_at)
    apply_changes(state, step)
    restarted = RouteStep(settings(**FIELDS), restart_at)
    assert list(restarted.restore(list(state.items()))) == []
    expected = [] if restart_at == DUE else [("manager", "sent", "escalated")]
    assert play(restarted, DUE, DUE + 1000) == expected


def test_a_clock_that_goes_back_does_not_delay_an_escalation_further():
    step = live()
    hour_ms = 60 * MINUTE_MS
    play(step, STARTED + hour_ms, alert(incident(**P1)), STARTED)
    assert play(step, DUE) == [("manager", "sent", "escalated")]


def test_a_reopened_incident_that_is_held_back_has_no_time_yet():
    step = live()
    play(step, alert(incident(**P1)), alert(incident(revision=2, status="resolved", **P1), 1), silence())
    play(step, alert(incident(revision=3, **P1), 2))
    ended = STARTED + 60 * MINUTE_MS
    assert play(step, ended - 1) == []
    assert play(step, ended) == [("pager", "sent", "silence_ended")]
    assert play(step, ended + 15 * MINUTE_MS) == [("manager", "sent", "escalated")]


@pytest.mark.parametrize("changes", [P1 | {"status": "acknowledged"}, {"severity": "P3"}])
def test_a_refused_escalation_ends_when_somebody_acts(changes):
    step = live()
    play(step, alert(incident(**P1)))
    play(step, DUE, delivery=FAILED)
    assert [note[0] for note in play(step, alert(incident(revision=2, **changes), 1))] == ["pager"]


def test_an_escalation_reaches_a_receiver_whose_own_route_is_muted():
    routes = [
        {"name": "night", "receivers": ["manager"], "mute_times": ["always"], "continue": True},
        {"name": "all", "receivers": ["pager"]},
    ]
    step = live(routes=routes, time_intervals={"always": {"years": ["2000:2100"]}})
    assert ("manager", "suppressed", "muted") in play(step, alert(incident(**P1)))
    assert play(step, DUE) == [("manager", "sent", "escalated")]


def test_an_escalation_that_is_added_to_the_settings_begins_at_the_start():
    step, state = live(escalations=[]), {}
    play(step, alert(incident(**P1)))
    apply_changes(state, step)
    started = STARTED + 5 * MINUTE_MS
    restarted = RouteStep(settings(**FIELDS), started)
    assert list(restarted.restore(list(state.items()))) == []
    apply_changes(state, restarted)
    restarted = RouteStep(settings(**FIELDS), started + MINUTE_MS)
    assert list(restarted.restore(list(state.items()))) == []
    assert play(restarted, started + 15 * MINUTE_MS - 1) == []
    assert play(restarted, started + 15 * MINUTE_MS) == [("manager", "sent", "escalated")]


def test_in_a_replay_the_time_is_that_of_the_revisions():
    step = RouteStep(settings(**FIELDS))
    play(step, alert(incident(updated_at=STARTED, **P1)))
    other = incident(incident_id="inc-other", updated_at=DUE, **P1)
    assert ("manager", "sent", "escalated") in play(step, alert(other, 1))


def test_an_escalation_that_was_removed_from_the_settings_ends():
    step, state = live(), {}
    play(step, alert(incident(**P1)))
    apply_changes(state, step)
    restarted = RouteStep(settings(**FIELDS | {"escalations": []}), STARTED)
    assert list(restarted.restore(list(state.items()))) == []
    assert play(restarted, DUE) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"escalations": [{"name": "a", "receivers": ["nobody"]}]}, "names receiver 'nobody', which does not exist"),
        ({"escalations": [{"name": "default", "receivers": ["pager"]}]}, "has the name of a route"),
        ({"escalations": [ESCALATIONS[0], ESCALATIONS[0]]}, "has the name of a route or of another escalation"),
        ({"escalations": [ESCALATIONS[0] | {"matchers": ["sverity=P1"]}]}, "escalation 'second': .*severity"),
    ],
)
def test_invalid_escalations_are_refused(fields, problem):
    with pytest.raises(ValueError, match=problem):
        live(**fields)
