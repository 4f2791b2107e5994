import pytest

from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, later, only, tick

REFUSED = drift("refused", after_s=300, environment="production", provider="openai")


def suspects(*deployments, first=REFUSED, **settings):
    return only(*deployments, first, settings=CorrelateSettings(**settings)).suspects


def score(*deployments, first=REFUSED):
    found = suspects(*deployments, first=first)
    return found[0].score if found else 0


def test_a_fitting_change_just_before_the_start_is_nearly_certain():
    [suspect] = suspects(deployment())
    assert suspect.score == pytest.approx(0.967)
    assert (suspect.kind, suspect.from_version, suspect.to_version) == ("prompt", "v41", "v42")
    assert "20 s before the start" in suspect.reason
    assert "often causes" in suspect.reason


def test_the_score_falls_with_distance_from_the_start():
    scores = [score(deployment(before_s=seconds)) for seconds in (60, 120, 360, 1_800, 3_600)]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] == pytest.approx(0.45)
    assert scores[-1] < 0.1


def test_a_change_before_the_look_back_is_no_suspect():
    assert suspects(deployment(before_s=3_601)) == []
    assert suspects(deployment(before_s=3_599)) != []


def test_a_change_after_the_start_but_before_the_detection_scores_low_and_not_zero():
    assert 0 < score(deployment(before_s=-200)) < 0.2


def test_the_estimate_of_the_start_may_be_a_minute_off_and_the_nearer_one_is_the_likelier():
    assert score(deployment(before_s=-59)) == pytest.approx(0.5, abs=0.01)
    assert score(deployment(before_s=59)) == pytest.approx(0.9, abs=0.01)
    assert score(deployment(before_s=10)) > score(deployment(before_s=30))


def test_what_was_seen_at_once_has_a_start_that_is_known_to_seconds():
    assert score(deployment(before_s=-4), first=drift("refused", after_s=6)) > 0.5
    assert score(deployment(before_s=-5.5), first=drift("refused", after_s=6)) < 0.2


def test_a_change_after_the_detection_is_no_suspect():
    assert suspects(deployment(before_s=-301), tick(START + 20 * MINUTE)) == []


@pytest.mark.parametrize(("kind", "signal"), [("prompt", "refused"), ("index", "retrieval_score"), ("flag", "clicked")])
def test_the_kind_that_fits_the_failure_comes_first(kind, signal):
    kinds = ["prompt", "index", "dependency", "flag"]
    changes = [deployment(f"d-{each}", kind=each) for each in kinds]
    assert suspects(*changes, first=drift(signal))[0].kind == kind


def test_a_harmless_change_long_before_comes_after_the_one_that_did_it():
    harmless = deployment("d-1", kind="dependency", name="httpx", before_s=900)
    found = suspects(harmless, deployment())
    assert [suspect.deployment_id for suspect in found] in (["d-42"], ["d-42", "d-1"])
    assert found[0].score > 5 * score(harmless)


def test_a_change_of_another_subject_is_no_suspect():
    assert suspects(deployment(subject="search")) == []


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"environment": "production"}, 0.773),
        ({"provider": "openai"}, 0.773),
        ({"environment": "production", "provider": "openai"}, 0.773),
        ({"environment": "staging"}, 0),
        ({"provider": "anthropic"}, 0),
        ({"environment": "production", "provider": "anthropic"}, 0),
    ],
)
def test_a_change_of_an_environment_or_provider_touches_those_in_it(scope, expected):
    assert score(deployment(subject=None, **scope)) == expected


def test_a_change_of_an_environment_does_not_touch_a_subject_that_names_none():
    assert suspects(deployment(subject=None, environment="production"), first=drift()) == []


def test_at_most_so_many_suspects_are_named_and_they_are_ranked():
    found = suspects(*(deployment(f"d-{each}", before_s=20 + each) for each in range(20)), suspects_max=3)
    assert [suspect.rank for suspect in found] == [1, 2, 3]


def test_of_equals_the_latest_comes_first():
    found = suspects(deployment("d-early", before_s=50), deployment("d-late", before_s=10))
    assert [suspect.deployment_id for suspect in found] == ["d-late", "d-early"]


def test_a_change_taken_back_before_the_start_is_no_suspect():
    back = deployment("d-43", before_s=300, from_version="v42", to_version="v41")
    assert "d-42" not in {suspect.deployment_id for suspect in suspects(deployment(before_s=600), back)}


def test_a_rollback_before_the_start_can_be_the_cause_itself():
    back = deployment("d-43", before_s=20, from_version="v42", to_version="v41")
    assert suspects(deployment(before_s=600), back)[0].deployment_id == "d-43"


def test_a_rollback_between_start_and_detection_is_no_suspect():
    back = deployment("d-43", before_s=-200, from_version="v42", to_version="v41")
    incident = only(deployment(), back, REFUSED)
    assert [suspect.deployment_id for suspect in incident.suspects] == ["d-42"]
    assert "rolled back" in incident.summary


def test_inputs_that_shift_at_the_start_are_a_suspect_and_rank_below_a_deployment():
    shift = drift("input_tokens", start=START - 10 * SECOND, after_s=8)
    [alone] = suspects(shift)
    assert (alone.kind, alone.deployment_id) == ("input_shift", None)
    assert 0.5 < alone.score < 0.6
    assert [suspect.kind for suspect in suspects(shift, deployment())] == ["prompt", "input_shift"]


def test_a_shift_seen_after_the_incident_was_opened_is_a_suspect_too():
    shift = drift("input_tokens", after_s=900)
    assert [suspect.kind for suspect in only(REFUSED, shift).suspects] == ["input_shift"]


def test_a_shift_of_another_subject_or_long_before_explains_nothing():
    assert suspects(drift("input_tokens", subject="search")) == []
    assert suspects(drift("input_tokens", start=START - 3_600 * SECOND)) == []


def test_longer_answers_in_tokens_follow_from_failures_and_are_no_suspect():
    assert suspects(drift("output_tokens")) == []


def test_a_provider_that_changed_silently_is_a_suspect():
    [suspect] = suspects(drift("provider_model", start=START - SECOND))
    assert suspect.kind == "undeclared_change"


def test_with_nothing_plausible_the_summary_says_that_no_deployment_explains_it():
    assert "No deployment explains it." in only(REFUSED).summary


def test_with_a_far_fetched_suspect_the_summary_does_not_accuse_it():
    summary = only(deployment(before_s=1_800), REFUSED).summary
    assert "No deployment clearly explains it" in summary
    assert "Most likely" not in summary


def test_a_shift_the_only_suspect_is_named_and_is_no_deployment():
    summary = only(drift("input_tokens"), REFUSED, later(REFUSED, 60)).summary
    assert "Most likely cause: input_tokens up (input shift); no deployment explains it." in summary


def test_two_changes_at_the_same_moment_are_both_suspects_and_neither_is_accused():
    incident = only(deployment("d-1", before_s=20), deployment("d-2", kind="model", before_s=21), REFUSED)
    assert [suspect.deployment_id for suspect in incident.suspects] == ["d-1", "d-2"]
    assert "Most likely" not in incident.summary
    assert not any(step.action == "rollback" for step in incident.containment)


def test_an_older_ticket_does_not_hide_what_was_deployed_since():
    ticket = drift("provider_model", tier="ticket", detector="first_seen", start=START - 10 * MINUTE)
    incident = only(ticket, deployment(), REFUSED, settings=CorrelateSettings(simultaneous_window_s=900))
    assert incident.suspects[0].deployment_id == "d-42"


@pytest.mark.parametrize(
    ("signal", "kind"),
    [("index_age_s", "retrieval"), ("retrieval_score", "retrieval"), ("null_fraction", "upstream_data")],
)
def test_what_feeds_the_answers_and_moved_with_them_is_named(signal, kind):
    incident = only(drift(signal, after_s=20), drift("thumbs_down", after_s=30))
    assert incident.suspects[0].kind == kind
    assert "Most likely cause" in incident.summary


def test_a_change_that_broke_what_feeds_the_answers_comes_before_it():
    incident = only(deployment(kind="index"), drift("index_age_s", after_s=20), drift("thumbs_down", after_s=30))
    assert [suspect.kind for suspect in incident.suspects] == ["index", "retrieval"]


def test_bad_answers_are_no_cause_of_bad_retrieval_and_what_moved_after_is_no_cause():
    assert suspects(first=drift("thumbs_down")) == []
    late = drift("index_age_s", start=START + 90 * SECOND, after_s=400)
    assert only(drift("thumbs_down", after_s=30), late).suspects == []
