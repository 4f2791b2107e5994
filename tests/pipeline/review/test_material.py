import pytest

from pipeline.review.material import Material
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift
from tests.pipeline.review.worlds import baseline, drifts, revisions, world


def test_revisions_are_sorted_and_duplicates_count_once():
    ordered = revisions()
    material = Material.select([*reversed(ordered), ordered[0]])
    assert [incident.revision for incident in material.revisions] == list(range(1, len(ordered) + 1))
    assert material.missing_revisions == 0


def test_revisions_of_two_incidents_or_none_are_refused():
    first = revisions()[0]
    with pytest.raises(ValueError, match="a review covers one incident"):
        Material.select([first, first.model_copy(update={"incident_id": "inc-other", "revision": 2})])
    with pytest.raises(ValueError, match="a review covers one incident"):
        Material.select([])


def test_deployments_that_affect_the_subject_from_an_hour_before_the_start_to_the_end_are_selected():
    given = [
        deployment("long-before", before_s=3601),
        deployment("before", before_s=3600),
        deployment("elsewhere", subject="search"),
        deployment("everywhere", subject=None, environment="production"),
        deployment("other-environment", subject=None, environment="staging"),
        deployment("after", before_s=-3600),
        deployment("before", before_s=3599),
    ]
    selected = world(deployments=given).deployments
    assert [selection.deployment_id for selection in selected] == ["before", "everywhere"]
    assert selected[0].timestamp == START - 3599 * 1000


def test_drifts_of_the_evidence_and_others_of_the_subject_in_the_same_time_are_selected():
    beside = drift("input_tokens", start=START - 5 * MINUTE)
    long_ago = drift("input_tokens", start=START - 300 * MINUTE, drift_id="long-ago")
    elsewhere = drift("input_tokens", subject="search", drift_id="elsewhere")
    selected = world(drifts=[*drifts(), *drifts(), beside, long_ago, elsewhere]).drifts
    assert len(selected) == len(drifts()) + 1
    assert beside in selected


def test_the_baseline_is_the_one_that_the_evidence_names_or_else_the_newest():
    named, newer, other = baseline("refused"), baseline("error", version="b-2"), baseline("x", subject="search")
    assert world(baselines=[named, newer, other]).baseline == named
    assert world(baselines=[named, newer, other], drifts=[]).baseline == newer
    assert world(baselines=[other]).baseline is None
