"""The severity table is read or refused as a unit, and configured rows come before the built-in ones."""

import pytest

from pipeline.correlate.severity.adjustment import BlastRadius, SeverityAdjustment
from pipeline.correlate.severity.severity import decide_severity
from pipeline.correlate.severity.table import SeverityTable
from tests.pipeline.correlate.builders import drift

_RULE = '[[rule]]\nname = "mine"\nseverity = "P2"\nreason = "because"\n'
_ADJUSTMENT = '[[adjustment]]\nname = "small"\nto = "milder"\nseverities = ["P3"]\nreason = "few"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rule]", "not TOML"),
        ("", "no rules"),
        ("rule = 3", "no rules"),
        ("adjustment = 3", "no adjustments"),
        (_RULE + "[other]\n", 'unknown key "other"'),
        (_RULE + 'wen = { tier = "page" }\n', 'rule 1 ("mine"): unknown key "wen"; did you mean "when"?'),
        (_RULE + 'when = { failure_mode = ["outage"] }\n', 'did you mean "failure_modes"?'),
        (_RULE + 'when = { failure_modes = ["refusal_spke"] }\n', 'did you mean "refusal_spike"?'),
        (_RULE + 'when = { tier = "cause" }\n', "when.tier"),
        (_RULE + "when = { minimum_ratio = -1 }\n", "when.minimum_ratio"),
        (_RULE + _ADJUSTMENT + "when = { below_trafic_share = 0.1 }\n", 'did you mean "below_traffic_share"?'),
        (_RULE + _ADJUSTMENT + "when = {}\n", 'adjustment 1 ("small"): when: sets no condition'),
        (_RULE + _ADJUSTMENT + "when = { minimum_layers = 1 }\n", "when.minimum_layers"),
        (_RULE + _ADJUSTMENT.replace("milder", "better") + "when = { minimum_layers = 2 }\n", "to: "),
        (_RULE + _ADJUSTMENT.replace('["P3"]', "[]") + "when = { minimum_layers = 2 }\n", "severities"),
        (_RULE + _ADJUSTMENT, '"when" is missing'),
        (_RULE + 2 * (_ADJUSTMENT + "when = { minimum_layers = 2 }\n"), 'two adjustments have the name "small"'),
        (_RULE.replace("P2", "P5"), "severity"),
        ('[[rule]]\nname = "mine"\nseverity = "P2"\n', '"reason" is missing'),
        (_RULE + _RULE, 'two rules have the name "mine"'),
    ],
)
def test_an_invalid_table_is_refused_with_the_reason(text, complaint):
    with pytest.raises(ValueError, match=r"mine\.toml: ") as caught:
        SeverityTable.read(text, "mine.toml")
    assert complaint in str(caught.value)


def test_all_problems_of_a_table_are_reported_at_once():
    with pytest.raises(ValueError, match="rule 1") as caught:
        SeverityTable.read(_RULE.replace("P2", "P5") + _RULE.replace("name", "nam"), "mine.toml")
    assert "rule 1" in str(caught.value)
    assert "rule 2" in str(caught.value)


def test_a_configured_adjustment_replaces_the_built_in_one_of_the_same_name():
    canary = drift("refused", segment="prompt=v42", traffic_share=0.05)
    tiny = BlastRadius(below_traffic_share=0.01)
    stricter = SeverityAdjustment(
        name="small_part", to="milder", severities=("P3",), reason="hardly anybody is affected", when=tiny
    )
    table = SeverityTable.default().extend((), (stricter,))
    assert len(table.adjustments) == len(SeverityTable.default().adjustments)
    assert decide_severity(table, [canary]).severity == "P3"
    assert decide_severity(table, [canary.model_copy(update={"traffic_share": 0.005})]).adjustment_reason.startswith(
        "lowered one step by small_part: hardly anybody is affected"
    )


def test_a_configured_adjustment_does_not_lower_a_harmful_failure():
    milder = SeverityAdjustment(
        name="mine", to="milder", severities=("P1", "P2"), reason="few", when=BlastRadius(below_traffic_share=1.0)
    )
    leak = drift("pii_detected", segment="prompt=v42", traffic_share=0.01)
    assert decide_severity(SeverityTable.default().extend((), (milder,)), [leak]).severity == "P1"


def test_adjustments_stay_within_one_step_and_within_the_severities():
    rule = SeverityTable.read(_RULE, "mine.toml").rules[0]
    both = (0.5, 1.0)
    down = [
        SeverityAdjustment(
            name=f"m{below}",
            to="milder",
            severities=("P2", "P4"),
            reason="r",
            when=BlastRadius(below_traffic_share=below),
        )
        for below in both
    ]
    small = drift("refused", segment="prompt=v42", traffic_share=0.05)
    assert decide_severity(SeverityTable((rule,), tuple(down)), [small]).severity == "P3"
    lowest = rule.model_copy(update={"severity": "P4"})
    decision = decide_severity(SeverityTable((lowest,), tuple(down)), [small])
    assert (decision.severity, decision.adjusted_by) == ("P4", None)
