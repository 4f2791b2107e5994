import pytest

from tests.pipeline.correlate.builders import MINUTE, SECOND, START, deployment, drift, newest, only, revisions, tick

REFUSED = drift("refused", after_s=300)


def first_use(segment, *, before_s=20, **fields):
    """A first use of a version, a provider's model or a schema, so long before things go wrong."""
    name = segment.partition("=")[0]
    signal = name if name in ("provider_model", "schema_id") else "versions"
    told = {
        "start": START - before_s * SECOND,
        "segment": segment,
        "detector": "first_seen",
        "channel": "first_seen",
        "tier": "cause" if signal == "versions" else "ticket",
        "effect": 20,
        "effect_kind": "ratio",
    }
    return drift(signal, **(told | fields))


def kinds(*contracts):
    return [suspect.kind for suspect in only(*contracts, REFUSED).suspects]


def test_a_version_that_nobody_deployed_is_a_suspect():
    [suspect] = only(first_use("model=m-2"), REFUSED).suspects
    assert (suspect.kind, suspect.name) == ("undeclared_change", "model=m-2")
    assert "served by model m-2, never seen before" in suspect.reason


@pytest.mark.parametrize("first", [True, False], ids=["deployment first", "deployment late"])
def test_a_version_that_was_deployed_is_no_suspect_beside_its_deployment(first):
    known, seen = deployment(), first_use("prompt=v42")
    assert kinds(*((known, seen) if first else (seen, known))) == ["prompt"]


def test_a_version_deployed_hours_ago_that_serves_only_now_was_declared():
    assert kinds(deployment(before_s=5 * 3600), first_use("prompt=v42")) == []


@pytest.mark.parametrize(
    ("before_s", "expected"), [(60, ["prompt"]), (3000, ["undeclared_change", "prompt"])], ids=["near", "far"]
)
def test_a_change_of_the_kind_declares_what_first_serves_within_ten_minutes_of_it(before_s, expected):
    assert kinds(deployment(before_s=before_s, to_version="build-9"), first_use("prompt=v42")) == expected


def test_a_change_of_another_kind_or_of_another_subject_declares_nothing():
    other = deployment("d-1", kind="index", to_version="v42")
    another = deployment("d-2", subject="search")
    assert "undeclared_change" in kinds(other, another, first_use("prompt=v42"))


def test_a_providers_model_that_nobody_declared_is_an_incident_of_the_lowest_severity():
    incident = only(first_use("provider_model=gpt-2027"))
    assert (incident.severity, incident.failure_mode) == ("P4", "undeclared_change")
    assert "provider_model gpt-2027, never seen before" in incident.summary


def test_an_unknown_schema_is_an_incident_of_the_lowest_severity():
    incident = only(first_use("schema_id=orders-9"))
    assert (incident.severity, incident.failure_mode) == ("P4", "schema_change")


@pytest.mark.parametrize("kind", ["model", "provider_status"])
def test_a_providers_model_that_was_declared_opens_nothing(kind):
    known = deployment(kind=kind, from_version=None, to_version="gpt-2027")
    assert revisions(known, first_use("provider_model=gpt-2027")) == []


def test_a_first_use_is_told_once_and_keeps_no_incident_open():
    seen = first_use("provider_model=gpt-2027")
    assert only(seen).status == "mitigated"
    assert only(seen, tick(START + 10 * MINUTE)).status == "resolved"


def test_an_incident_that_a_first_use_has_joined_resolves_when_its_signals_are_back():
    seen = first_use("provider_model=gpt-2027", before_s=-30)
    refused = drift("refused", after_s=10)
    back = refused.model_copy(update={"state": "recovered", "sequence": 1, "updated_at": START + MINUTE, "now": 0.01})
    found = newest(refused, seen, back, tick(START + 10 * MINUTE)).values()
    assert {incident.status for incident in found} == {"resolved"}
