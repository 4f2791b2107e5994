import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.route import RouteStep
from pipeline.route.obstacles.inhibition import Inhibition
from pipeline.route.settings import InhibitSettings, RouteSettings
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import alert, incident
from tests.pipeline.route.test_step import apply_changes, run


def labels(**values):
    return {name: (value,) if isinstance(value, str) else value for name, value in values.items()}


def rule(source, target, *equal):
    return InhibitSettings(source=tuple(source.split(", ")), target=tuple(target.split(", ")), equal=equal)


def inhibition(*rules, **sources):
    built = Inhibition(rules)
    for incident_id, values in sources.items():
        built.update(incident_id, values)
    return built


URGENT = rule("severity=P1", "severity=~P[234]", "subject")


def test_an_open_incident_inhibits_those_that_match_with_equal_labels():
    built = inhibition(URGENT, a=labels(severity="P1", subject="bot"))
    assert built.find("b", labels(severity="P3", subject="bot")) == "a"
    assert built.find("b", labels(severity="P1", subject="bot")) is None
    assert built.find("b", labels(severity="P3", subject="search")) is None


def test_an_incident_that_is_over_or_no_longer_matches_inhibits_nothing():
    built = inhibition(URGENT, a=labels(severity="P1", subject="bot"))
    built.update("a", labels(severity="P2", subject="bot"))
    assert built.find("b", labels(severity="P3", subject="bot")) is None
    built.update("a", labels(severity="P1", subject="bot"))
    built.remove("a")
    built.remove("a")
    assert built.find("b", labels(severity="P3", subject="bot")) is None


def test_missing_labels_are_empty_and_equal():
    built = inhibition(rule("severity=P1", "severity=P3", "provider", "team"), a=labels(severity="P1", provider=""))
    assert built.find("b", labels(severity="P3", provider=())) == "a"
    assert built.find("b", labels(severity="P3", provider="openai")) is None


def test_labels_with_several_values_are_equal_if_all_values_are():
    built = inhibition(rule("severity=P1", "severity=P3", "layer"), a=labels(severity="P1", layer=("data", "output")))
    assert built.find("b", labels(severity="P3", layer=("output", "data"))) == "a"
    assert built.find("b", labels(severity="P3", layer=("output",))) is None


def test_an_incident_never_inhibits_itself():
    same = rule("subject=bot", "subject=bot", "subject")
    built = inhibition(same, a=labels(subject="bot"), b=labels(subject="bot"))
    assert built.find("a", labels(subject="bot")) is None


def test_an_incident_that_matches_both_sides_is_inhibited_by_one_that_matches_the_source_only():
    built = inhibition(rule("severity=P1", "subject=bot"), a=labels(severity="P1", subject="bot"))
    assert built.find("b", labels(severity="P1", subject="bot")) is None
    built.update("c", labels(severity="P1", subject="search"))
    assert built.find("b", labels(severity="P1", subject="bot")) == "c"
    assert built.find("d", labels(severity="P3", subject="bot")) == "a"


NAMES = ["severity", "subject", "team"]
LABELS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([(), ("",), ("x",), ("y",), ("x", "y")]) for name in NAMES}
)
MATCHER = st.builds(
    "{}{}{}".format,
    st.sampled_from(NAMES),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["x", "y", '"x|y"', '""']),
)
RULES = st.builds(
    InhibitSettings,
    source=st.lists(MATCHER, min_size=1, max_size=2).map(tuple),
    target=st.lists(MATCHER, min_size=1, max_size=2).map(tuple),
    equal=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
)


def model_matches(texts, values) -> bool:
    for text in texts:
        name = text.rstrip('xy|"').rstrip("=!~")
        operator = text[len(name) :].rstrip('xy|"')
        value = text[len(name) + len(operator) :].strip('"')
        wanted = value.split("|") if "~" in operator else [value]
        if any(value in wanted for value in values.get(name) or ("",)) is operator.startswith("!"):
            return False
    return True


def model_inhibits(rule, source, target) -> bool:
    """Whether one incident inhibits another, as Alertmanager documents it."""
    is_equal = all(set(source.get(name) or ("",)) == set(target.get(name) or ("",)) for name in rule.equal)
    both = [model_matches(rule.source, side) and model_matches(rule.target, side) for side in (source, target)]
    return (
        is_equal and model_matches(rule.source, source) and model_matches(rule.target, target) and both != [True, True]
    )


@fuzz_settings
@given(
    rules=st.lists(RULES, min_size=1, max_size=3),
    changes=st.lists(st.tuples(st.sampled_from("abcd"), st.none() | LABELS), min_size=1, max_size=12),
)
def test_inhibition_agrees_with_a_plain_model(rules, changes):
    built, open_incidents = Inhibition(rules), {}
    for incident_id, values in changes:
        if values is None:
            built.remove(incident_id)
            open_incidents.pop(incident_id, None)
        else:
            built.update(incident_id, values)
            open_incidents[incident_id] = values
        for target_id, target in open_incidents.items():
            inhibiting = {
                source_id
                for source_id, source in open_incidents.items()
                if source_id != target_id and any(model_inhibits(rule, source, target) for rule in rules)
            }
            found = built.find(target_id, target)
            assert found in inhibiting if inhibiting else found is None


PARENT = RouteSettings.model_validate(
    {
        "labels": [{"matchers": ['subject="provider:openai"'], "labels": {"kind": "provider"}}],
        "inhibit": [{"source": ["kind=provider"], "target": ['kind=""'], "equal": ["provider"]}],
    }
)
SOURCE = {"incident_id": "inc-provider", "subject": "provider:openai", "provider": "openai"}


def test_an_inhibited_incident_is_suppressed_with_the_reason_until_the_source_is_over():
    step = RouteStep(PARENT)
    run(step, alert(incident(**SOURCE)))
    held = ("console", 1, "suppressed", "inhibited by inc-provider, which is open")
    assert run(step, alert(incident(provider="openai"), 1)) == [held]
    assert run(step, alert(incident(incident_id="other", provider="bedrock"), 2))[0][2] == "sent"
    notes = run(step, alert(incident(**SOURCE, revision=2, status="resolved"), 3))
    delayed = f"new to the receiver: P3 open; delayed, because it was {held[3]}"
    assert notes[1:] == [("console", 1, "sent", delayed)]


def test_a_further_incident_that_inhibits_is_not_recorded():
    step = RouteStep(PARENT)
    run(step, alert(incident(**SOURCE)), alert(incident(provider="openai"), 1))
    assert [note[0] for note in run(step, alert(incident(**SOURCE | {"incident_id": "a"}), 2))] == ["console"]


def test_sources_are_restored_and_dropped_with_the_stored_incidents():
    settings = PARENT.model_copy(update={"incidents_max": 2})
    step, state = RouteStep(settings), {}
    run(step, alert(incident(**SOURCE)))
    apply_changes(state, step)
    restored = RouteStep(settings)
    assert list(restored.restore(state.items())) == []
    assert run(restored, alert(incident(provider="openai"), 1))[0][2] == "suppressed"
    run(restored, alert(incident(incident_id="b"), 2))
    assert run(restored, alert(incident(incident_id="c", provider="openai"), 3))[0][2] == "sent"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"source": [], "target": ["severity=P3"]}, "at least 1 item"),
        ({"source": ["severity=P1"]}, "Field required"),
        ({"source": ["severty=P1"], "target": ["severity=P3"]}, r"inhibit\[0\]: unknown label 'severty'"),
        ({"source": ["severity=P1"], "target": ["severity=P3"], "equal": ["subjct"]}, r"inhibit\[0\].equal: unknown"),
    ],
)
def test_an_invalid_rule_is_refused_with_the_reason(rule, complaint):
    with pytest.raises(ValidationError, match=complaint):
        RouteSettings.model_validate({"inhibit": [rule]})
