import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity.rule import SLA
from pipeline.correlate.severity.severity import decide_severity, is_worse, traffic_share
from pipeline.correlate.severity.table import SeverityTable, default_table, read_table
from tests.pipeline.correlate.builders import drift

TABLE = default_table()
_RULE = '[[rule]]\nname = "mine"\nseverity = "P2"\nreason = "because"\n'


def decided(*drifts):
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
def test_the_playbook_says_how_bad_it_is(fields, severity, rule):
    decision = decided(drift(**fields))
    assert (decision.severity, decision.rule) == (severity, rule)
    assert decision.reason


@pytest.mark.parametrize("signal", ["pii_detected", "refused", "index_age_s", "gpu_utilization"])
def test_ticket_tier_alone_is_p4(signal):
    assert decided(drift(signal, tier="ticket")).severity == "P4"


def test_every_failure_mode_is_decided_by_a_rule_of_the_table():
    for mode in MODES:
        assert decided(drift(failure_mode=mode)).rule in {rule.name for rule in TABLE.rules}


def moved(*drifts):
    decision = decided(*drifts)
    return decision.severity, decision.rule, decision.adjusted_by


SMALL = {"segment": "prompt=v42", "traffic_share": 0.05}
BREADTH = (drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6))


def test_three_layers_at_once_are_one_step_worse_and_two_are_not():
    assert moved(*BREADTH) == ("P2", "quality_loss", "broad_failure")
    assert moved(*BREADTH[:2]) == ("P3", "quality_loss", None)


def test_layers_of_the_ticket_tier_do_not_count_as_breadth():
    drifts = [drift("latency_ms"), drift("refused"), drift("retrieval_score", now=0.6, tier="ticket")]
    assert moved(*drifts) == ("P3", "quality_loss", None)


def test_breadth_makes_nothing_a_p1_for_that_is_for_harm():
    assert moved(drift("error", now=0.9), *BREADTH) == ("P2", "heavy_errors", None)


def test_what_hits_a_small_part_of_the_requests_alone_is_one_step_milder():
    assert moved(drift("refused", **SMALL)) == ("P4", "quality_loss", "small_part")
    assert moved(drift("empty", now=1.0, **SMALL)) == ("P3", "mostly_empty", "small_part")
    assert moved(drift("refused", segment="prompt=v42", traffic_share=0.1)) == ("P3", "quality_loss", None)
    assert moved(drift("refused", segment="prompt=v42")) == ("P3", "quality_loss", None)


def test_why_it_was_moved_is_said_with_the_numbers():
    assert decided(drift("refused", **SMALL)).full_reason == (
        "users see worse quality, and the feature still works (refused 9.1 %, normally 1.0 %); one step milder by "
        "small_part: only a small part of the requests is hit (5.0 % of the requests)"
    )
    assert decided(*BREADTH).full_reason.endswith("one quality getting worse (data, infrastructure, output)")
    assert "one step" not in decided(drift("refused")).full_reason


@pytest.mark.parametrize("signal", ["pii_detected", "policy_violation", "jailbreak_suspected", "probe_blocked"])
def test_what_can_harm_people_is_as_bad_in_a_small_part(signal):
    assert (decided(drift(signal, **SMALL)).severity, decided(drift(signal, **SMALL)).adjusted_by) == ("P1", None)


def test_an_attack_on_a_small_part_is_not_made_milder_either():
    assert moved(drift("injection_score", **SMALL)) == ("P2", "attack", None)


def test_what_is_broad_and_small_stays_where_it_is():
    assert moved(*(each.model_copy(update=SMALL) for each in BREADTH)) == ("P3", "quality_loss", None)


def test_a_small_part_is_no_milder_while_the_rest_is_as_bad():
    whole = drift("length", side="up", now=2.0, effect=0.3)
    assert moved(drift("latency_ms", **SMALL), whole) == ("P3", "quality_loss", None)
    marginal = whole.model_copy(update={"effect": 0.05})
    assert moved(drift("latency_ms", **SMALL), marginal) == ("P4", "quality_loss", "small_part")
    assert moved(drift("empty", now=1.0, **SMALL), drift("refused")) == ("P3", "mostly_empty", "small_part")


def test_segments_of_one_dimension_add_up_and_those_of_several_may_be_the_same_requests():
    def hit(*shares):
        drifts = [drift(segment=segment, traffic_share=share) for segment, share in shares]
        return pytest.approx(traffic_share(drifts))

    assert hit(("region=a", 0.04), ("region=b", 0.05)) == 0.09
    assert hit(("region=a", 0.04), ("prompt=v42", 0.05)) == 0.05
    assert hit(("region=a", 0.04), ("region=a", 0.05)) == 0.05
    assert hit(("region=a", 0.7), ("region=b", 0.6)) == 1.0
    assert hit(("region=a", 0.04), ("", 1.0)) == 1.0
    assert traffic_share([]) == 0.0


def test_a_stale_index_names_the_incident_before_the_retrieval_that_it_spoils():
    decision = decided(drift("retrieval_score", now=0.6), drift("index_age_s", start=1_795_489_925_000, now=90_000.0))
    assert decision.drift.signal == "index_age_s"


def test_a_ratio_to_a_normal_of_zero_or_less_never_fits():
    assert decided(drift("retrieval_score", normal=-2.0, now=-8.0)).rule == "quality_loss"
    assert decided(drift("latency_ms", normal=0.0, now=8.0)).rule == "quality_loss"


def test_rules_are_asked_in_order():
    [first] = read_table(_RULE.replace("P2", "P1"), "mine.toml").rules
    assert decide_severity(SeverityTable((first, *TABLE.rules)), [drift()]).rule == "mine"
    assert decide_severity(SeverityTable((*TABLE.rules, first)), [drift()]).rule == "quality_loss"


def test_without_a_rule_that_applies_the_least_is_assumed_and_said():
    decision = decide_severity(SeverityTable(), [drift()])
    assert (decision.severity, decision.rule) == ("P4", "no_rule")


def test_an_effect_below_one_is_as_far_as_its_inverse():
    table = read_table(_RULE + "when = { minimum_effect = { odds_ratio = 4 } }\n", "mine.toml")
    far = [decide_severity(table, [drift(effect=effect)]).rule for effect in (5.0, 0.2, 2.0, 0.5)]
    assert far == ["mine", "mine", "no_rule", "no_rule"]
    assert decide_severity(table, [drift(effect=9.0, effect_kind="rank_shift")]).rule == "no_rule"


def test_layers_of_a_rule_narrow_it():
    table = read_table(_RULE + 'when = { layers = ["data"] }\n', "mine.toml")
    assert decide_severity(table, [drift("index_age_s")]).rule == "mine"
    assert decide_severity(table, [drift("refused")]).rule == "no_rule"


def promised(signal, subject="support-bot", **limits):
    return {(subject, signal): SLA(subject=subject, signal=signal, **limits)}


def test_what_was_promised_and_is_not_kept_is_worse_than_the_same_within_it():
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide_severity(TABLE, [slow], promised("latency_ms", maximum=2000.0)).rule == "promise_broken"
    assert decide_severity(TABLE, [slow], promised("latency_ms", maximum=5000.0)).rule == "quality_loss"
    assert decide_severity(TABLE, [slow], promised("latency_ms", "search", maximum=2000.0)).rule == "quality_loss"
    worse_than_least = drift("retrieval_score", normal=0.77, now=0.6)
    assert decide_severity(TABLE, [worse_than_least], promised("retrieval_score", minimum=0.7)).rule == "promise_broken"
    assert decide_severity(TABLE, [worse_than_least], promised("retrieval_score", minimum=0.5)).rule == "quality_loss"


def test_a_promise_of_the_most_is_not_broken_by_less():
    shorter = drift("length", side="down", normal=300.0, now=50.0)
    assert decide_severity(TABLE, [shorter], promised("length", maximum=500.0)).rule != "promise_broken"
    assert decide_severity(TABLE, [shorter], promised("length", maximum=500.0, minimum=100.0)).rule == "promise_broken"


def test_a_promise_of_nothing_and_one_made_twice_are_refused():
    with pytest.raises(ValueError, match="sets no limit"):
        SLA(subject="support-bot", signal="error")
    twice = [{"subject": "support-bot", "signal": "error", "maximum": most} for most in (0.01, 0.02)]
    with pytest.raises(ValueError, match="error of support-bot appears 2 times"):
        CorrelateSettings(sla=twice)


def test_a_rule_of_ones_own_can_ask_for_a_promise_that_is_kept():
    mine = read_table(_RULE + 'when = { sla = "kept" }\n', "mine.toml").rules
    slow = drift("latency_ms", normal=800.0, now=2400.0)
    assert decide_severity(TABLE.extend(mine, ()), [slow], promised("latency_ms", maximum=5000.0)).rule == "mine"
    assert decide_severity(TABLE.extend(mine, ()), [slow]).rule == "quality_loss"


def test_worse_is_strict():
    assert is_worse("P1", "P2")
    assert not is_worse("P2", "P2")
    assert not is_worse("P3", "P2")
