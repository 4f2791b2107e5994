import pytest

from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, later, only, tick

REFUSED = drift("refused", after_s=300, environment="production", provider="openai")


def suspects(*deployments, first=REFUSED, **settings):
    return only(*deployments, first, settings=CorrelateSettings(**settings)).suspects


def score(*deployments, first=REFUSED):
    ranked = suspects(*deployments, first=first)
    return ranked[0].score if ranked else 0


def test_a_fitting_change_just_before_the_start_is_nearly_certain():
    [suspect] = suspects(deployment())
    assert suspect.score == pytest.approx(0.967)
    assert (suspect.kind, suspect.from_version, suspect.to_version) == ("prompt", "v41", "v42")
    assert "20 s before the start" in suspect.reason
    assert "often cause" in suspect.reason


def test_the_score_falls_with_distance_from_the_start():
    scores = [score(deployment(before_s=seconds)) for seconds in (60, 120, 360, 1_800, 3_600)]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] == pytest.approx(0.45)
    assert scores[-1] < 0.1


def test_a_change_before_the_look_back_is_not_a_suspect():
    assert suspects(deployment(before_s=3_601)) == []
    assert suspects(deployment(before_s=3_599)) != []


def test_a_change_after_the_start_but_before_the_detection_scores_low_and_not_zero():
    assert 0 < score(deployment(before_s=-200)) < 0.2


def test_the_start_may_be_a_minute_off_but_the_nearer_change_is_more_likely():
    assert score(deployment(before_s=-59)) == pytest.approx(0.5, abs=0.01)
    assert score(deployment(before_s=59)) == pytest.approx(0.9, abs=0.01)
    assert score(deployment(before_s=10)) > score(deployment(before_s=30))


def test_the_start_of_a_failure_detected_at_once_is_known_to_seconds():
    assert score(deployment(before_s=-4), first=drift("refused", after_s=6)) > 0.5
    assert score(deployment(before_s=-5.5), first=drift("refused", after_s=6)) < 0.2


def test_a_change_after_the_detection_is_not_a_suspect():
    assert suspects(deployment(before_s=-301), tick(START + 20 * MINUTE)) == []


@pytest.mark.parametrize(("kind", "signal"), [("prompt", "refused"), ("index", "retrieval_score"), ("flag", "clicked")])
def test_the_kind_that_fits_the_failure_comes_first(kind, signal):
    kinds = ["prompt", "index", "dependency", "flag"]
    changes = [deployment(f"d-{name}", kind=name) for name in kinds]
    assert suspects(*changes, first=drift(signal))[0].kind == kind


def test_a_harmless_change_long_before_ranks_below_the_cause():
    harmless = deployment("d-1", kind="dependency", name="httpx", before_s=900)
    ranked = suspects(harmless, deployment())
    assert [suspect.deployment_id for suspect in ranked] in (["d-42"], ["d-42", "d-1"])
    assert ranked[0].score > 5 * score(harmless)


def test_a_change_of_another_subject_is_not_a_suspect():
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
def test_a_change_of_an_environment_or_provider_affects_its_subjects(scope, expected):
    assert score(deployment(subject=None, **scope)) == expected


def test_a_change_of_an_environment_does_not_affect_a_subject_without_one():
    assert suspects(deployment(subject=None, environment="production"), first=drift()) == []


def test_suspects_are_limited_and_ranked():
    ranked = suspects(*(deployment(f"d-{number}", before_s=20 + number) for number in range(20)), suspects_max=3)
    assert [suspect.rank for suspect in ranked] == [1, 2, 3]


def test_of_equal_suspects_the_latest_comes_first():
    ranked = suspects(deployment("d-early", before_s=50), deployment("d-late", before_s=10))
    assert [suspect.deployment_id for suspect in ranked] == ["d-late", "d-early"]


def test_a_change_reverted_before_the_start_is_not_a_suspect():
    back = deployment("d-43", before_s=300, from_version="v42", to_version="v41")
    assert "d-42" not in {suspect.deployment_id for suspect in suspects(deployment(before_s=600), back)}


def test_a_rollback_before_the_start_can_be_the_cause_itself():
    back = deployment("d-43", before_s=20, from_version="v42", to_version="v41")
    assert suspects(deployment(before_s=600), back)[0].deployment_id == "d-43"


def test_a_rollback_between_start_and_detection_is_not_a_suspect():
    back = deployment("d-43", before_s=-200, from_version="v42", to_version="v41")
    incident = only(deployment(), back, REFUSED)
    assert [suspect.deployment_id for suspect in incident.suspects] == ["d-42"]
    assert "rolled back" in incident.summary


def test_an_input_shift_at_the_start_is_a_suspect_and_ranks_below_a_deployment():
    shift = drift("input_tokens", start=START - 10 * SECOND, after_s=8)
    [alone] = suspects(shift)
    assert (alone.kind, alone.deployment_id) == ("input_shift", None)
    assert 0.5 < alone.score < 0.6
    assert [suspect.kind for suspect in suspects(shift, deployment())] == ["prompt", "input_shift"]


def test_a_shift_detected_after_the_incident_opened_is_a_suspect_too():
    shift = drift("input_tokens", after_s=900)
    assert [suspect.kind for suspect in only(REFUSED, shift).suspects] == ["input_shift"]


def test_a_shift_of_another_subject_or_long_before_explains_nothing():
    assert suspects(drift("input_tokens", subject="search")) == []
    assert suspects(drift("input_tokens", start=START - 3_600 * SECOND)) == []


def test_longer_answers_in_tokens_follow_from_failures_and_are_not_suspects():
    assert suspects(drift("output_tokens")) == []


def test_an_undeclared_provider_change_is_a_suspect():
    [suspect] = suspects(drift("provider_model", start=START - SECOND))
    assert suspect.kind == "undeclared_change"


def test_without_plausible_suspects_no_deployment_explains_the_incident():
    assert "No deployment explains it." in only(REFUSED).summary


def test_the_summary_does_not_name_an_unlikely_suspect_as_the_cause():
    summary = only(deployment(before_s=1_800), REFUSED).summary
    assert "No deployment clearly explains it" in summary
    assert "Most likely" not in summary


def test_a_shift_that_is_the_only_suspect_is_not_called_a_deployment():
    summary = only(drift("input_tokens"), REFUSED, later(REFUSED, 60)).summary
    assert "Most likely cause: input_tokens up (input shift); no deployment explains it." in summary


def test_of_two_changes_at_the_same_time_neither_is_called_the_cause():
    incident = only(deployment("d-1", before_s=20), deployment("d-2", kind="model", before_s=21), REFUSED)
    assert [suspect.deployment_id for suspect in incident.suspects] == ["d-1", "d-2"]
    assert "Most likely" not in incident.summary
    assert not any(step.action == "rollback" for step in incident.containment)


def test_an_older_ticket_does_not_hide_a_later_deployment():
    ticket = drift("provider_model", tier="ticket", detector="first_seen", start=START - 10 * MINUTE)
    incident = only(ticket, deployment(), REFUSED, settings=CorrelateSettings(simultaneous_window_s=900))
    assert incident.suspects[0].deployment_id == "d-42"


@pytest.mark.parametrize(
    ("signal", "kind"),
    [("index_age_s", "retrieval"), ("retrieval_score", "retrieval"), ("null_fraction", "upstream_data")],
)
def test_a_feed_that_moved_with_the_answers_is_the_cause(signal, kind):
    incident = only(drift(signal, after_s=20), drift("thumbs_down", after_s=30))
    assert incident.suspects[0].kind == kind
    assert "Most likely cause" in incident.summary


@pytest.mark.parametrize(
    "signal", ["index_age_s", "retrieval_score", "embedding_similarity", "null_fraction", "schema_valid"]
)
def test_an_incident_about_a_feed_alone_is_not_its_own_cause(signal):
    assert suspects(first=drift(signal)) == []


@pytest.mark.parametrize(
    "symptoms",
    [
        ["index_age_s", "retrieval_score"],
        ["index_age_s", "thumbs_down"],
        ["retrieval_score", "hallucinated"],
        ["null_fraction", "confidence"],
    ],
)
def test_no_cause_has_the_name_of_a_symptom(symptoms):
    incident = only(*(drift(signal, after_s=20 + number) for number, signal in enumerate(symptoms)))
    own_names = (*symptoms, incident.failure_mode, incident.failure_mode.replace("_", " "))
    assert not [one.name for one in incident.suspects if any(name in one.name for name in own_names)]


@pytest.mark.parametrize("signal", ["provider_model", "schema_id"])
def test_a_first_use_is_not_the_cause_of_the_incident_about_it(signal):
    first_use = drift(signal, tier="ticket", detector="first_seen", channel="first_seen", segment=f"{signal}=m-2")
    assert suspects(first=first_use, announce_after_s=0) == []


def test_a_change_that_broke_a_feed_ranks_above_the_feed():
    incident = only(deployment(kind="index"), drift("index_age_s", after_s=20), drift("thumbs_down", after_s=30))
    assert [suspect.kind for suspect in incident.suspects] == ["index", "retrieval"]


def test_answers_do_not_cause_bad_retrieval_and_later_drifts_are_not_causes():
    assert suspects(first=drift("thumbs_down")) == []
    late = drift("index_age_s", start=START + 90 * SECOND, after_s=400)
    assert only(drift("thumbs_down", after_s=30), late).suspects == []
