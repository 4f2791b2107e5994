"""The explanation of routing agrees with the route step, and names why a route or receiver is left out."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import RouteSettings, RouteStep
from pipeline.route.explanation import explain_routing
from pipeline.route.labels import incident_labels
from schemas.notification import Notification
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, evidence, incident
from tests.pipeline.route.test_model import INTERVALS, RECEIVERS, name_routes, routes

HOUR_MS = 3_600_000

TREE = {
    "receivers": [{"name": "console", "console": True}, {"name": "pager", "console": True, "severities": ["P1"]}],
    "time_intervals": {"morning": {"times": [{"start_time": "00:00", "end_time": "12:00"}]}},
    "labels": [{"labels": {"team": "search"}}],
    "routes": [
        {
            "name": "urgent",
            "matchers": ['severity=~"P1|P2"', 'team="search"'],
            "receivers": ["pager"],
            "continue": True,
            "mute_times": ["morning"],
            "routes": [{"name": "safety", "matchers": ['layer="safety"'], "receivers": ["pager", "console"]}],
        },
        {"name": "others", "matchers": ['subject!="support-bot"'], "receivers": ["console"]},
        {"name": "everything", "receivers": ["console"]},
        {"name": "late", "receivers": ["console"], "routes": [{"name": "later", "receivers": ["console"]}]},
    ],
    "inhibit": [
        {"source": ['severity="P1"'], "target": ['severity!="P1"'], "equal": ["provider"]},
        {"source": ['severity="P2"'], "target": ['subject="search"']},
    ],
}


def explain(one, at=STARTED, **settings):
    return explain_routing(RouteSettings.model_validate(TREE | settings), one, incident_labels(one), at)


def outcomes(explanation):
    return {route.name: route.outcome for route in explanation.routes}


def reasons(explanation):
    return {
        receiver.receiver: (receiver.route, receiver.decision.send, receiver.decision.reason.code)
        for receiver in explanation.receivers
    }


def test_each_route_has_its_outcome_and_the_matcher_that_failed():
    explanation = explain(incident(severity="P2"))
    assert outcomes(explanation) == {
        "default": "nested",
        "urgent": "handles",
        "safety": "does_not_match",
        "others": "does_not_match",
        "everything": "handles",
        "late": "not_tried",
        "later": "not_tried",
    }
    assert {route.name: str(route.failed) for route in explanation.routes if route.failed} == {
        "safety": 'layer="safety"',
        "others": 'subject!="support-bot"',
    }
    assert [route.depth for route in explanation.routes] == [0, 1, 2, 1, 1, 1, 2]


def test_a_nested_route_handles_the_incident_of_its_outer_route():
    explanation = explain(incident(severity="P1", evidence=[evidence("leak", layer="safety")]))
    assert (outcomes(explanation)["urgent"], outcomes(explanation)["safety"]) == ("nested", "handles")


def test_the_default_route_handles_what_no_route_matches():
    explanation = explain(incident(), routes=[TREE["routes"][1]])
    assert outcomes(explanation) == {"default": "handles", "others": "does_not_match"}
    assert reasons(explanation) == {"console": ("default", True, "first_notification")}


def test_each_receiver_has_its_reason():
    morning, afternoon = STARTED, STARTED + 12 * HOUR_MS
    assert reasons(explain(incident(severity="P1"), morning)) == {
        "pager": ("urgent", False, "muted"),
        "console": ("everything", True, "first_notification"),
    }
    assert reasons(explain(incident(severity="P1"), afternoon))["pager"] == ("urgent", True, "first_notification")
    assert reasons(explain(incident(severity="P2"), afternoon))["pager"] == ("urgent", False, "severity_not_accepted")
    assert reasons(explain(incident(status="resolved")))["console"] == ("everything", False, "closed_before_notified")


def test_the_rules_that_could_inhibit_are_those_whose_target_matches():
    assert [rule.equal for rule in explain(incident(severity="P2")).inhibit] == [("provider",)]
    assert explain(incident(severity="P1")).inhibit == ()


@fuzz_settings
@given(
    tree=routes(2),
    severity=st.sampled_from(["P1", "P2", "P3"]),
    status=st.sampled_from(["open", "acknowledged", "resolved"]),
    layers=st.lists(st.sampled_from(["safety", "output"]), max_size=2),
    subject=st.sampled_from(["x", "y"]),
    hours=st.integers(0, 200),
)
def test_it_agrees_with_the_step_about_an_incident_that_is_new(tree, severity, status, layers, subject, hours):
    settings = RouteSettings.model_validate(
        {
            "receivers": RECEIVERS,
            "default_receivers": ["a"],
            "routes": name_routes(tree),
            "labels": [{"matchers": ['subject="x"'], "labels": {"team": "red"}}],
            "time_intervals": {name: fields for name, (fields, _) in INTERVALS.items()},
            "group_wait_s": 0,
        }
    )
    lines = [evidence(f"signal-{index}", layer=layer) for index, layer in enumerate(layers)]
    one = incident(severity=severity, status=status, subject=subject, evidence=lines)
    now = STARTED + hours * HOUR_MS
    step = RouteStep(settings, now)
    suppressed = [Notification.from_json(output.value) for output in step.step([alert(one)])]
    expected = {note.receiver: (note.route, False, note.reason_code) for note in suppressed}
    pending = step.take_pending()
    expected |= {sent.receiver: (sent.route, True, sent.reason.code) for sent in pending}
    explanation = explain_routing(settings, one, incident_labels(one), now)
    assert reasons(explanation) == expected
    groups = {outcome.receiver: outcome.group for outcome in explanation.receivers if outcome.decision.send}
    assert groups == {sent.receiver: sent.group for sent in pending}
