import pytest

from pipeline.correlate.modes import MODES
from pipeline.correlate.rule import Promise
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity import decide, default_rules, read_rules, worse
from tests.pipeline.correlate.builders import drift

RULES = default_rules()


def decided(*drifts):
    return decide(RULES, drifts)


@pytest.mark.parametrize(
    ("fields", "severity", "rule"),
    [
        ({"signal": "pii_detected"}, "P1", "data_exposure"),
        ({"signal": "filter_triggered", "side": "down", "now": 0.0}, "P1", "safety_failure"),
        ({"signal": "probe_blocked", "normal": 1.0, "now": 0.0}, "P1", "safety_failure"),
        ({"signal": "policy_violation"}, "P1", "safety_failure"),
        ({"signal": "jailbreak_suspected"}, "P1", "safety_failure"),
        ({"signal": "injection_score"}, "P2", "attack"),
        ({"signal": "empty", "now": 1.0}, "P2", "mostly_empty"),
        ({"signal": "error", "now": 0.4}, "P2", "heavy_errors"),
        ({"signal": "retrieval_score", "normal": 0.77, "now": 0.1}, "P2", "retrieval_broken"),
        ({"signal": "schema_valid", "normal": 0.999, "now": 0.3}, "P2", "inputs_broken"),
        ({"signal": "latency_ms", "normal": 800.0, "now": 9000.0}, "P2", "unusably_slow"),
        ({"signal": "refused"}, "P3", "quality_loss"),
        ({"signal": "empty", "now": 0.02}, "P3", "quality_loss"),
        ({"signal": "error", "now": 0.05}, "P3", "quality_loss"),
        ({"signal": "latency_ms", "normal": 800.0, "now": 2400.0}, "P3", "quality_loss"),
        ({"signal": "hallucinated"}, "P3", "quality_loss"),
        ({"signal": "index_age_s", "now": 90_000.0}, "P3", "quality_loss"),
        ({"signal": "retrieval_score", "normal": 0.77, "now": 0.6}, "P3", "quality_loss"),
        ({"signal": "filter_triggered"}, "P3", "quality_loss"),
        ({"signal": "confidence", "effect": -0.3}, "P3", "marked_shift"),
        ({"signal": "confidence", "effect": -0.1}, "P4", "marginal_drift"),
        ({"signal": "length", "effect": 0.1}, "P4", "marginal_drift"),
        (
            {"signal": "length", "channel": "low_tail", "effect": 30.0, "effect_kind": "odds_ratio"},
            "P3",
            "marked_shift",
        ),
        ({"signal": "refused", "failure_mode": "unheard_of"}, "P3", "unnamed_failure"),
    ],
)
def test_the_playbook_says_how_bad_it_is(fields, severity, rule):
    decision = decided(drift(**fields))
    assert (decision.severity, decision.rule) == (severity, rule)
    assert decision.reason


@pytest.mark.parametrize("signal", ["pii_detected", "refused", "index_age_s", "gpu_utilization"])
def test_ticket_tier_alone_is_p4(signal):
    assert decided(drift(signal, tier="ticket")).severity == "P4"


def test_every_failure_mode_is_decided_by_a_rule_of_the_table():
    for mode in MODES:
        assert decided(drift(failure_mode=mode)).rule in {rule.name for rule in RULES}


def test_three_layers_at_once_are_p2_and_two_are_not():
    three = [drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6)]
    assert decided(*three).rule == "broad_failure"
    assert decided(*three[:2]).rule == "quality_loss"


def test_layers_of_the_ticket_tier_do_not_count_as_breadth():
    drifts = [drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6, tier="ticket")]
    assert decided(*drifts).rule == "quality_loss"


def test_a_stale_index_names_the_incident_before_the_retrieval_that_it_spoils():
    decision = decided(drift("retrieval_score", now=0.6), drift("index_age_s", start=1_795_489_925_000, now=90_000.0))
    assert decision.drift.signal == "index_age_s"


def test_a_ratio_to_a_normal_of_zero_or_less_never_fits():
    assert decided(drift("retrieval_score", normal=-2.0, now=-8.0)).rule == "quality_loss"
    assert decided(drift("latency_ms", normal=0.0, now=8.0)).rule == "quality_loss"


def test_rules_are_asked_in_order():
    first = read_rules('[[rule]]\nname = "all"\nseverity = "P1"\nreason = "because"\n', "mine.toml")
    assert decide((*first, *RULES), [drift()]).rule == "all"
    assert decide((*RULES, *first), [drift()]).rule == "quality_loss"


def test_without_a_rule_that_applies_the_least_is_assumed_and_said():
    decision = decide((), [drift()])
    assert (decision.severity, decision.rule) == ("P4", "no_rule")


def test_an_effect_below_one_is_as_far_as_its_inverse():
    text = '[[rule]]\nname = "far"\nseverity = "P2"\nreason = "r"\nwhen = { minimum_effect = { odds_ratio = 4 } }\n'
    [rule] = read_rules(text, "mine.toml")
    far = [decide([rule], [drift(effect=effect)]).rule for effect in (5.0, 0.2, 2.0, 0.5)]
    assert far == ["far", "far", "no_rule", "no_rule"]
    assert decide([rule], [drift(effect=9.0, effect_kind="rank_shift")]).rule == "no_rule"


def test_layers_of_a_rule_narrow_it():
    text = '[[rule]]\nname = "data"\nseverity = "P2"\nreason = "r"\nwhen = { layers = ["data"] }\n'
    rules = read_rules(text, "mine.toml")
    assert decide(rules, [drift("index_age_s")]).rule == "data"
    assert decide(rules, [drift("refused")]).rule == "no_rule"


def promised(signal, subject="support-bot", **limits):
    return {(subject, signal): Promise(subject=subject, signal=signal, **limits)}


def test_what_was_promised_and_is_not_kept_is_worse_than_the_same_within_it():
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide(RULES, [slow], promised("latency_ms", most=2000.0)).rule == "promise_broken"
    assert decide(RULES, [slow], promised("latency_ms", most=5000.0)).rule == "quality_loss"
    assert decide(RULES, [slow], promised("latency_ms", "search", most=2000.0)).rule == "quality_loss"
    worse_than_least = drift("retrieval_score", normal=0.77, now=0.6)
    assert decide(RULES, [worse_than_least], promised("retrieval_score", least=0.7)).rule == "promise_broken"
    assert decide(RULES, [worse_than_least], promised("retrieval_score", least=0.5)).rule == "quality_loss"


def test_a_promise_of_the_most_is_not_broken_by_less():
    shorter = drift("length", side="down", normal=300.0, now=50.0)
    assert decide(RULES, [shorter], promised("length", most=500.0)).rule != "promise_broken"
    assert decide(RULES, [shorter], promised("length", most=500.0, least=100.0)).rule == "promise_broken"


def test_a_promise_of_nothing_and_one_made_twice_are_refused():
    with pytest.raises(ValueError, match="it promises nothing"):
        Promise(subject="support-bot", signal="error")
    twice = [{"subject": "support-bot", "signal": "error", "most": most} for most in (0.01, 0.02)]
    with pytest.raises(ValueError, match="error of support-bot is promised 2 times"):
        CorrelateSettings(sla=twice)


def test_a_rule_of_ones_own_can_ask_for_a_promise_that_is_kept():
    text = '[[rule]]\nname = "fine"\nseverity = "P4"\nreason = "r"\nwhen = { sla = "kept" }\n'
    rules = (*read_rules(text, "mine.toml"), *RULES)
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide(rules, [slow], promised("latency_ms", most=5000.0)).rule == "fine"
    assert decide(rules, [slow]).rule == "quality_loss"


def test_worse_is_strict():
    assert worse("P1", "P2")
    assert not worse("P2", "P2")
    assert not worse("P3", "P2")


_RULE = '[[rule]]\nname = "mine"\nseverity = "P2"\nreason = "because"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rule]", "not TOML"),
        ("", "no rules"),
        ("rule = 3", "no rules"),
        (_RULE + "[other]\n", 'unknown key "other"'),
        (_RULE + 'wen = { tier = "page" }\n', 'rule 1 ("mine"): unknown key "wen": did you mean "when"?'),
        (_RULE + 'when = { failure_mode = ["outage"] }\n', 'did you mean "failure_modes"?'),
        (_RULE + 'when = { failure_modes = ["refusal_spke"] }\n', 'did you mean "refusal_spike"?'),
        (_RULE + 'when = { tier = "cause" }\n', "when.tier"),
        (_RULE + "when = { minimum_layers = 0 }\n", "when.minimum_layers"),
        (_RULE + 'when = { minimum_layers = 2, tier = "ticket" }\n', "minimum_layers"),
        (_RULE.replace("P2", "P5"), "severity"),
        ('[[rule]]\nname = "mine"\nseverity = "P2"\n', '"reason" is missing'),
        (_RULE + _RULE, 'two rules are called "mine"'),
    ],
)
def test_a_broken_table_is_refused_in_words(text, complaint):
    with pytest.raises(ValueError, match=r"mine\.toml: ") as caught:
        read_rules(text, "mine.toml")
    assert complaint in str(caught.value)


def test_all_problems_of_a_table_are_told_at_once():
    with pytest.raises(ValueError, match="rule 1") as caught:
        read_rules(_RULE.replace("P2", "P5") + _RULE.replace("name", "nam"), "mine.toml")
    assert "rule 1" in str(caught.value)
    assert "rule 2" in str(caught.value)
