"""The table of severity is read whole or refused whole, and one's own rows go before the product's."""

import pytest

from pipeline.correlate.severity.adjustment import BlastRadius, SeverityAdjustment
from pipeline.correlate.severity.severity import decide_severity
from pipeline.correlate.severity.table import SeverityTable, default_table, read_table
from tests.pipeline.correlate.builders import drift

_RULE = '[[rule]]\nname = "mine"\nseverity = "P2"\nreason = "because"\n'
_MOVE = '[[move]]\nname = "small"\nto = "milder"\nseverities = ["P3"]\nreason = "few"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rule]", "not TOML"),
        ("", "no rules"),
        ("rule = 3", "no rules"),
        ("move = 3", "no moves"),
        (_RULE + "[other]\n", 'unknown key "other"'),
        (_RULE + 'wen = { tier = "page" }\n', 'rule 1 ("mine"): unknown key "wen": did you mean "when"?'),
        (_RULE + 'when = { failure_mode = ["outage"] }\n', 'did you mean "failure_modes"?'),
        (_RULE + 'when = { failure_modes = ["refusal_spke"] }\n', 'did you mean "refusal_spike"?'),
        (_RULE + 'when = { tier = "cause" }\n', "when.tier"),
        (_RULE + "when = { minimum_ratio = -1 }\n", "when.minimum_ratio"),
        (_RULE + _MOVE + "when = { below_trafic_share = 0.1 }\n", 'did you mean "below_traffic_share"?'),
        (_RULE + _MOVE + "when = {}\n", 'move 1 ("small"): when: sets no condition'),
        (_RULE + _MOVE + "when = { minimum_layers = 1 }\n", "when.minimum_layers"),
        (_RULE + _MOVE.replace("milder", "better") + "when = { minimum_layers = 2 }\n", "to: "),
        (_RULE + _MOVE.replace('["P3"]', "[]") + "when = { minimum_layers = 2 }\n", "severities"),
        (_RULE + _MOVE, '"when" is missing'),
        (_RULE + 2 * (_MOVE + "when = { minimum_layers = 2 }\n"), 'two moves are called "small"'),
        (_RULE.replace("P2", "P5"), "severity"),
        ('[[rule]]\nname = "mine"\nseverity = "P2"\n', '"reason" is missing'),
        (_RULE + _RULE, 'two rules are called "mine"'),
    ],
)
def test_a_broken_table_is_refused_in_words(text, complaint):
    with pytest.raises(ValueError, match=r"mine\.toml: ") as caught:
        read_table(text, "mine.toml")
    assert complaint in str(caught.value)


def test_all_problems_of_a_table_are_told_at_once():
    with pytest.raises(ValueError, match="rule 1") as caught:
        read_table(_RULE.replace("P2", "P5") + _RULE.replace("name", "nam"), "mine.toml")
    assert "rule 1" in str(caught.value)
    assert "rule 2" in str(caught.value)


def test_a_move_of_ones_own_is_one_more_and_one_of_the_same_name_takes_the_place_of_the_products():
    canary = drift("refused", segment="prompt=v42", traffic_share=0.05)
    tiny = BlastRadius(below_traffic_share=0.01)
    stricter = SeverityAdjustment(
        name="small_part", to="milder", severities=("P3",), reason="hardly anybody is hit", when=tiny
    )
    table = default_table().extend((), (stricter,))
    assert len(table.adjustments) == len(default_table().adjustments)
    assert decide_severity(table, [canary]).severity == "P3"
    assert decide_severity(table, [canary.model_copy(update={"traffic_share": 0.005})]).adjustment_reason.startswith(
        "one step milder by small_part: hardly anybody is hit"
    )


def test_a_move_of_ones_own_takes_no_harm_down():
    milder = SeverityAdjustment(
        name="mine", to="milder", severities=("P1", "P2"), reason="few", when=BlastRadius(below_traffic_share=1.0)
    )
    leak = drift("pii_detected", segment="prompt=v42", traffic_share=0.01)
    assert decide_severity(default_table().extend((), (milder,)), [leak]).severity == "P1"


def test_a_move_neither_leaves_the_ladder_nor_adds_up_to_two_steps():
    rule = read_table(_RULE, "mine.toml").rules[0]
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
