"""Concurrent versions, built by hand so that the correct verdict is known."""

import pytest

from pipeline.correlate.causes.version_split import compare_versions, served_versions
from schemas.drift import Series
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, only

BEGIN = START - START % MINUTE - 2 * MINUTE
"""Two minutes before that of the start."""


def series(version, records, means, *, values=False):
    return Series(
        version=version, begins_at=BEGIN, records=records, means=means, values=[100.0] * len(means) if values else []
    )


def refused(*versions, **fields):
    return drift("refused", series=list(versions), **fields)


OLD_GOOD = series("prompt=v41", [3000, 3000, 2850, 2850, 2850], [0.01, 0.01, 0.01, 0.01, 0.01])
OLD_BAD = series("prompt=v41", [3000, 3000, 2850, 2850, 2850], [0.01, 0.01, 0.09, 0.09, 0.09])
NEW_BAD = series("prompt=v42", [0, 0, 150, 150, 150], [0.0, 0.0, 0.09, 0.09, 0.09])
NEW_GOOD = series("prompt=v42", [0, 0, 150, 150, 150], [0.0, 0.0, 0.01, 0.01, 0.01])


def verdict(old, new, version="prompt=v42", **fields):
    split = compare_versions(refused(old, new, **fields), version)
    return None if split is None else split.verdict


def test_a_version_that_is_bad_beside_a_good_one_is_bad():
    split = compare_versions(refused(OLD_GOOD, NEW_BAD), "prompt=v42")
    assert split is not None
    assert (split.verdict, split.records) == ("bad", 450)
    assert (split.new, split.others) == (pytest.approx(0.09), pytest.approx(0.01))
    # 450 records of 9,000 with a share of 1.4 % when taken together: 40.5 refusals where 6.3 would be by chance.
    assert split.z == pytest.approx(14.1, abs=0.2)


def test_equally_bad_versions_are_alike_and_so_is_a_good_one_beside_a_bad_one():
    assert verdict(OLD_BAD, NEW_BAD) == "alike"
    assert verdict(OLD_BAD, NEW_GOOD) == "alike"


def test_a_few_records_are_not_enough():
    few = series("prompt=v42", [0, 0, 3, 3, 3], [0.0, 0.0, 0.33, 0.0, 0.0])
    assert verdict(OLD_GOOD, few) == "unclear"
    assert verdict(OLD_BAD, few) == "unclear"


def test_a_version_that_replaced_another_at_once_did_not_serve_beside_it():
    old = series("prompt=v41", [3000, 3000, 1500, 0, 0], [0.01] * 5)
    new = series("prompt=v42", [0, 0, 1500, 3000, 3000], [0.0, 0.0, 0.09, 0.09, 0.09])
    assert verdict(old, new) is None


def test_a_later_version_can_convict_an_earlier_one_but_not_clear_it():
    bad = series("prompt=v42", [0, 0, 3000, 1500, 1500], [0.0, 0.0, 0.09, 0.09, 0.09])
    later_one = series("prompt=v43", [0, 0, 0, 1500, 1500], [0.0, 0.0, 0.0, 0.09, 0.09])
    fixed = series("prompt=v43", [0, 0, 0, 1500, 1500], [0.0, 0.0, 0.0, 0.01, 0.01])
    assert verdict(bad, later_one, "prompt=v42") == "unclear"
    assert verdict(bad, fixed, "prompt=v42") == "bad"
    assert verdict(bad, fixed, "prompt=v43") == "alike"
    assert verdict(bad, later_one, "prompt=v43") == "alike"


def test_a_signal_that_should_not_fall_is_compared_the_other_way():
    old = series("model=m1", [3000] * 5, [0.98] * 5)
    new = series("model=m2", [0, 0, 300, 300, 300], [0.0, 0.0, 0.8, 0.8, 0.8])
    split = compare_versions(drift("schema_valid", normal=0.98, now=0.8, series=[old, new]), "model=m2")
    assert split is not None
    assert split.verdict == "bad"


def test_values_are_compared_by_their_ranks():
    old = series("model=m1", [3000] * 5, [0.5] * 5, values=True)
    new = series("model=m2", [0, 0, 150, 150, 150], [0.0, 0.0, 0.7, 0.7, 0.7], values=True)
    split = compare_versions(drift("latency_ms", series=[old, new]), "model=m2")
    assert split is not None
    assert split.verdict == "bad"
    assert compare_versions(drift("latency_ms", channel="dispersion", series=[old, new]), "model=m2") is None


def test_minutes_before_the_start_do_not_count():
    healthy_before = series("prompt=v42", [3000, 3000, 150, 150, 150], [0.01, 0.01, 0.09, 0.09, 0.09])
    old = series("prompt=v41", [3000, 3000, 2850, 2850, 2850], [0.01, 0.01, 0.01, 0.01, 0.01])
    split = compare_versions(refused(old, healthy_before), "prompt=v42")
    assert split is not None
    assert split.records == 450


def test_a_version_that_serves_all_records_has_no_numbers():
    drifts = [refused(series("prompt=v41", [], []))]
    assert served_versions(drifts, "prompt") == {"prompt=v41"}
    assert compare_versions(drifts[0], "prompt=v41") is None


def test_a_bad_canary_ranks_first_although_another_change_is_nearer():
    canary = deployment(before_s=300)
    nearer = deployment("d-7", kind="model", name=None, from_version="m1", to_version="m2", before_s=2)
    incident = only(canary, nearer, refused(OLD_GOOD, NEW_BAD))
    first, second = incident.suspects
    assert (first.deployment_id, first.split) == ("d-42", "bad")
    assert (
        "its records are bad and those of other versions are not: refused 9.0 %, other versions 1.0 %" in first.reason
    )
    assert first.score >= 0.9
    assert second.score < 0.3
    assert "Most likely cause: prompt v41 -> v42" in incident.summary


def test_a_canary_that_is_like_the_old_version_is_cleared():
    incident = only(deployment(), refused(OLD_BAD, NEW_BAD))
    [suspect] = incident.suspects
    assert suspect.split == "alike"
    assert suspect.score <= 0.2
    assert not any(step.action == "rollback" for step in incident.containment)


def test_a_deployment_whose_version_no_record_carries_is_less_suspect():
    elsewhere = only(deployment(), refused(series("prompt=v41", [], [])))
    here = only(deployment(), refused(series("prompt=v42", [], [])))
    assert elsewhere.suspects[0].score < 0.35 < here.suspects[0].score
    assert "no record carries this version" in elsewhere.suspects[0].reason


def test_the_comparison_is_published_again_when_more_minutes_make_it_clear():
    first = refused(
        series("prompt=v41", [3000, 3000, 1000], [0.01, 0.01, 0.01]), series("prompt=v42", [0, 0, 50], [0.0, 0.0, 0.2])
    )
    again = first.model_copy(
        update={
            "state": "evidence",
            "sequence": 1,
            "series": [OLD_GOOD, NEW_BAD],
            "updated_at": START + 65 * SECOND,
        }
    )
    assert only(deployment(before_s=200), first).suspects[0].split is None
    assert only(deployment(before_s=200), first, again).suspects[0].split == "bad"


def test_a_canary_is_rolled_back_to_the_good_version_beside_it():
    beside = series("prompt=v43", [0, 1500, 2850, 2850, 2850], [0.0, 0.01, 0.01, 0.01, 0.01])
    canary = series("prompt=v42", [150, 150, 150, 150, 150], [0.01, 0.01, 0.09, 0.09, 0.09])
    incident = only(deployment(before_s=200), refused(beside, canary, segment="prompt=v42", traffic_share=0.05))
    step = next(step for step in incident.containment if step.action == "rollback")
    assert step.target == "prompt: stop the canary v42 (5.0 % of the traffic) and send all traffic to v43"
    assert step.to_version == "v43"
    assert step.reason.endswith("return to v43, which is good in the same minutes")
