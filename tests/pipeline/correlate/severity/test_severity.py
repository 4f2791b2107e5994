import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity.rule import SLA
from pipeline.correlate.severity.severity import decide_severity, is_worse, traffic_share
from pipeline.correlate.severity.table import SeverityTable
from tests.pipeline.correlate.builders import drift

TABLE = SeverityTable.default()
_RULE = '[[rule]]\nname = "mine"\nseverity = "P2"\nreason = "because"\n'


def decision_for(*drifts):
    return decide_severity(TABLE, drifts)


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
def test_the_rules_follow_the_playbook(fields, severity, rule):
    decision = decision_for(drift(**fields))
    assert (decision.severity, decision.rule) == (severity, rule)
    assert decision.reason


@pytest.mark.parametrize("condition", ["minimum_now = 0.1", "minimum_ratio = 0.1", "maximum_ratio = 9.0"])
def test_a_rule_about_the_value_of_a_signal_does_not_compare_the_share_of_a_shape(condition):
    text = f'{_RULE}when = {{ signals = ["latency_ms"], {condition} }}\n'
    table = SeverityTable.read(text, "mine.toml")
    shape = {"tier": "ticket", "channel": "shape", "normal": 0.2, "now": 0.4, "effect_kind": "odds_ratio"}
    assert decide_severity(table, [drift("latency_ms", tier="ticket", normal=0.2, now=0.4)]).rule == "mine"
    assert decide_severity(table, [drift("latency_ms", **shape)]).rule != "mine"


@pytest.mark.parametrize("signal", ["pii_detected", "refused", "index_age_s", "gpu_utilization"])
def test_ticket_tier_alone_is_p4(signal):
    assert decision_for(drift(signal, tier="ticket")).severity == "P4"


def test_every_failure_mode_is_decided_by_a_rule_of_the_table():
    for mode in MODES:
        assert decision_for(drift(failure_mode=mode)).rule in {rule.name for rule in TABLE.rules}


def adjusted(*drifts):
    decision = decision_for(*drifts)
    return decision.severity, decision.rule, decision.adjusted_by


SMALL = {"segment": "prompt=v42", "traffic_share": 0.05}
BREADTH = (drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6))


def test_three_layers_at_once_are_one_step_worse_and_two_are_not():
    assert adjusted(*BREADTH) == ("P2", "quality_loss", "broad_failure")
    assert adjusted(*BREADTH[:2]) == ("P3", "quality_loss", None)


def test_layers_with_only_ticket_tier_drifts_do_not_count():
    drifts = [drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6, tier="ticket")]
    assert adjusted(*drifts) == ("P3", "quality_loss", None)


def test_many_layers_do_not_make_a_p1_which_is_reserved_for_harm():
    assert adjusted(drift("error", now=0.9), *BREADTH) == ("P2", "heavy_errors", None)


def test_a_failure_of_a_small_share_of_the_requests_is_one_step_milder():
    assert adjusted(drift("refused", **SMALL)) == ("P4", "quality_loss", "small_part")
    assert adjusted(drift("empty", now=1.0, **SMALL)) == ("P3", "mostly_empty", "small_part")
    assert adjusted(drift("refused", segment="prompt=v42", traffic_share=0.1)) == ("P3", "quality_loss", None)
    assert adjusted(drift("refused", segment="prompt=v42")) == ("P3", "quality_loss", None)


def test_the_full_reason_has_the_numbers_and_the_adjustment():
    assert decision_for(drift("refused", **SMALL)).full_reason == (
        "users see lower quality, but the feature still works (refused 9.1 % at detection, normally 1.0 %); lowered one step by "
        "small_part: only a small share of the requests is affected (5.0 % of the requests)"
    )
    assert decision_for(*BREADTH).full_reason.endswith("a loss of quality (data, infrastructure, output)")
    assert "one step" not in decision_for(drift("refused")).full_reason


@pytest.mark.parametrize("signal", ["pii_detected", "policy_violation", "jailbreak_suspected", "probe_blocked"])
def test_a_harmful_failure_of_a_small_share_is_not_milder(signal):
    assert (decision_for(drift(signal, **SMALL)).severity, decision_for(drift(signal, **SMALL)).adjusted_by) == (
        "P1",
        None,
    )


def test_an_attack_on_a_small_share_is_not_milder_either():
    assert adjusted(drift("injection_score", **SMALL)) == ("P2", "attack", None)


def test_opposite_adjustments_cancel_out():
    assert adjusted(*(broad.model_copy(update=SMALL) for broad in BREADTH)) == ("P3", "quality_loss", None)


def test_a_small_share_is_not_milder_while_the_rest_is_as_bad():
    full = drift("length", side="up", now=2.0, effect=0.3)
    assert adjusted(drift("latency_ms", **SMALL), full) == ("P3", "quality_loss", None)
    marginal = full.model_copy(update={"effect": 0.05})
    assert adjusted(drift("latency_ms", **SMALL), marginal) == ("P4", "quality_loss", "small_part")
    assert adjusted(drift("empty", now=1.0, **SMALL), drift("refused")) == ("P3", "mostly_empty", "small_part")


def test_shares_of_one_dimension_add_up_and_of_several_the_largest_counts():
    def share_of(*shares):
        drifts = [drift(segment=segment, traffic_share=share) for segment, share in shares]
        return pytest.approx(traffic_share(drifts))

    assert share_of(("region=a", 0.04), ("region=b", 0.05)) == 0.09
    assert share_of(("region=a", 0.04), ("prompt=v42", 0.05)) == 0.05
    assert share_of(("region=a", 0.04), ("region=a", 0.05)) == 0.05
    assert share_of(("region=a", 0.7), ("region=b", 0.6)) == 1.0
    assert share_of(("region=a", 0.04), ("", 1.0)) == 1.0
    assert traffic_share([]) == 0.0


def test_a_stale_index_names_the_incident_before_the_retrieval_that_it_affects():
    decision = decision_for(
        drift("retrieval_score", now=0.6), drift("index_age_s", start=1_795_489_925_000, now=90_000.0)
    )
    assert decision.drift.signal == "index_age_s"


def test_a_ratio_to_a_normal_of_zero_or_less_never_matches():
    assert decision_for(drift("retrieval_score", normal=-2.0, now=-8.0)).rule == "quality_loss"
    assert decision_for(drift("latency_ms", normal=0.0, now=8.0)).rule == "quality_loss"


def test_rules_are_evaluated_in_order():
    [first] = SeverityTable.read(_RULE.replace("P2", "P1"), "mine.toml").rules
    assert decide_severity(SeverityTable((first, *TABLE.rules)), [drift()]).rule == "mine"
    assert decide_severity(SeverityTable((*TABLE.rules, first)), [drift()]).rule == "quality_loss"


def test_without_a_rule_that_applies_the_lowest_severity_is_assumed():
    decision = decide_severity(SeverityTable(), [drift()])
    assert (decision.severity, decision.rule) == ("P4", "no_rule")


def test_an_effect_below_one_is_as_far_as_its_inverse():
    table = SeverityTable.read(_RULE + "when = { minimum_effect = { odds_ratio = 4 } }\n", "mine.toml")
    far = [decide_severity(table, [drift(effect=effect)]).rule for effect in (5.0, 0.2, 2.0, 0.5)]
    assert far == ["mine", "mine", "no_rule", "no_rule"]
    assert decide_severity(table, [drift(effect=9.0, effect_kind="rank_shift")]).rule == "no_rule"


def test_a_rule_can_be_limited_to_layers():
    table = SeverityTable.read(_RULE + 'when = { layers = ["data"] }\n', "mine.toml")
    assert decide_severity(table, [drift("index_age_s")]).rule == "mine"
    assert decide_severity(table, [drift("refused")]).rule == "no_rule"


def sla(signal, subject="support-bot", **limits):
    return {(subject, signal): SLA(subject=subject, signal=signal, **limits)}


def test_a_drift_that_breaks_an_sla_is_more_severe_than_the_same_drift_within_it():
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide_severity(TABLE, [slow], sla("latency_ms", maximum=2000.0)).rule == "promise_broken"
    assert decide_severity(TABLE, [slow], sla("latency_ms", maximum=5000.0)).rule == "quality_loss"
    assert decide_severity(TABLE, [slow], sla("latency_ms", "search", maximum=2000.0)).rule == "quality_loss"
    low_score = drift("retrieval_score", normal=0.77, now=0.6)
    assert decide_severity(TABLE, [low_score], sla("retrieval_score", minimum=0.7)).rule == "promise_broken"
    assert decide_severity(TABLE, [low_score], sla("retrieval_score", minimum=0.5)).rule == "quality_loss"


def test_a_value_below_the_maximum_does_not_break_an_sla():
    shorter = drift("length", side="down", normal=300.0, now=50.0)
    assert decide_severity(TABLE, [shorter], sla("length", maximum=500.0)).rule != "promise_broken"
    assert decide_severity(TABLE, [shorter], sla("length", maximum=500.0, minimum=100.0)).rule == "promise_broken"


def test_an_sla_without_a_limit_and_a_repeated_sla_are_refused():
    with pytest.raises(ValueError, match="sets no limit"):
        SLA(subject="support-bot", signal="error")
    twice = [{"subject": "support-bot", "signal": "error", "maximum": maximum} for maximum in (0.01, 0.02)]
    with pytest.raises(ValueError, match="error of support-bot appears 2 times"):
        CorrelateSettings(sla=twice)


def test_a_configured_rule_can_require_that_an_sla_is_kept():
    mine = SeverityTable.read(_RULE + 'when = { sla = "kept" }\n', "mine.toml").rules
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide_severity(TABLE.extend(mine, ()), [slow], sla("latency_ms", maximum=5000.0)).rule == "mine"
    assert decide_severity(TABLE.extend(mine, ()), [slow]).rule == "quality_loss"


def test_worse_is_strict():
    assert is_worse("P1", "P2")
    assert not is_worse("P2", "P2")
    assert not is_worse("P3", "P2")
