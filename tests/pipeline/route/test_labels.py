import pytest
from pydantic import ValidationError

from pipeline.route.labels import INCIDENT_LABELS, LabelRule, add_labels, incident_labels
from pipeline.route.matchers import parse_matchers
from pipeline.route.settings import RouteSettings
from tests.pipeline.route.samples import evidence, incident


def rule(*matchers, **labels):
    return LabelRule(parse_matchers(*matchers), labels)


def test_an_incident_has_every_label():
    labels = incident_labels(incident(environment=None, provider="openai", segments=["tenant=b", "region=eu"]))
    assert tuple(labels) == INCIDENT_LABELS
    assert labels["subject"] == ("support-bot",)
    assert labels["environment"] == ("",)
    assert labels["provider"] == ("openai",)
    assert labels["segment"] == ("region=eu", "tenant=b")


def test_the_layers_are_those_of_all_evidence():
    lines = [evidence("a"), evidence("b", layer="safety", state="recovered"), evidence("c")]
    assert incident_labels(incident(evidence=lines))["layer"] == ("output", "safety")
    assert incident_labels(incident(evidence=[]))["layer"] == ()


def test_labels_of_ones_own_are_added_in_order_and_the_later_one_wins():
    rules = [
        rule(team="platform", tier="silver"),
        rule('subject=~"support-.*"', team="search"),
        rule('subject="other"', team="other"),
        rule('team="search"', tier="gold"),
    ]
    labels = add_labels(incident_labels(incident()), rules)
    assert (labels["team"], labels["tier"]) == (("search",), ("gold",))
    assert labels["subject"] == ("support-bot",)


def settings(**fields):
    return RouteSettings.model_validate(fields)


def test_routes_and_rules_may_match_labels_of_ones_own():
    labels = [
        {"matchers": ['subject="a"'], "labels": {"team": "search"}},
        {"matchers": ["team=search"], "labels": {"b": ""}},
    ]
    read = settings(labels=labels, routes=[{"name": "r", "matchers": ['team="search"'], "receivers": ["console"]}])
    assert read.label_names == (*INCIDENT_LABELS, "b", "team")


ROUTE = {"name": "outer", "receivers": ["console"]}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (
            {"routes": [ROUTE | {"matchers": ['subjct="a"']}]},
            "route 'outer': unknown label 'subjct'; did you mean \"subject\"",
        ),
        (
            {"routes": [ROUTE | {"routes": [ROUTE | {"name": "in", "matchers": ["team=a"]}]}]},
            "route 'in': unknown label 'team'",
        ),
        (
            {"labels": [{"matchers": ["tem=a"], "labels": {"team": "a"}}]},
            r"labels\[0\]: unknown label 'tem'; did you mean \"team\"",
        ),
        ({"labels": [{"labels": {"severity": "P1"}}]}, "'severity' is a label of every incident"),
        ({"labels": [{"labels": {"my-team": "a"}}]}, "'my-team' is not a label name"),
        ({"labels": [{"labels": {}}]}, "at least 1 item"),
        ({"labels": [{"matchers": ["nonsense"], "labels": {"team": "a"}}]}, "invalid matcher"),
    ],
)
def test_invalid_labels_are_refused_with_the_reason(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        settings(**fields)
