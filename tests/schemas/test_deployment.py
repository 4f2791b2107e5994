"""Deployments as delivery tools send them, and the expected result of reading them."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.correlate.deployments import DeploymentHistory, ServedTraffic
from schemas.deployment import SUMMARY_LENGTH_MAX, Deployment
from schemas.record import SUBJECT_LENGTH_MAX

CASES = [
    json.loads(line) for line in Path(__file__).with_name("deployments_as_sent.ndjson").read_text("utf-8").splitlines()
]
SENT = {"deployment_id": "d-1", "timestamp": 1_795_489_920_123, "kind": "prompt", "subject": "chat"}


@pytest.mark.parametrize("case", CASES, ids=[case["as"] for case in CASES])
def test_a_deployment_is_read_as_it_was_sent(case):
    messages = case["sent"] if isinstance(case["sent"], list) else [case["sent"]]
    history = DeploymentHistory(10)
    deployments = [deployment for message in messages for deployment in Deployment.read(message)]
    for deployment in deployments:
        history.add(deployment)
    [read] = (
        {deployment.subject: deployment for deployment in deployments}.values() if len(deployments) == 1 else [None]
    )
    expected = dict(case["read"])
    assert len(history) == expected.pop("deployments", 1)
    if expected.pop("distinct", None):
        longer = Deployment.read(case["sent"] | {"to_version": case["sent"]["to_version"] + "k=w"})[0]
        assert longer.to_version != read.to_version
    for name in ("to_version", "summary"):
        if length := expected.pop(f"{name}_length", None):
            assert len(getattr(read, name)) == length
    if expected.pop("scope", None) == "everything":
        assert ServedTraffic("any", None, "acme").is_affected_by(read)
    for name, value in expected.items():
        assert getattr(read, name) == value, name


def test_a_label_that_fits_is_unchanged_and_a_longer_one_keeps_its_beginning():
    fitting, longer = "v" * SUBJECT_LENGTH_MAX, "v" * (SUBJECT_LENGTH_MAX + 1)
    assert Deployment.read(SENT | {"to_version": fitting})[0].to_version == fitting
    cut = Deployment.read(SENT | {"to_version": longer})[0].to_version
    assert cut.startswith("v" * 190)
    assert cut != fitting


@pytest.mark.parametrize(
    ("sent", "kind", "original"),
    [
        ("Provider-Status", "provider_status", None),
        (" PROMPT ", "prompt", None),
        ("other", "other", None),
        ("Hotfix", "other", "Hotfix"),
        (7, "other", "7"),
        ("x" * 300, "other", "x" * 191 + "~0e8c8ca1"),
    ],
)
def test_a_kind_is_read_in_any_case_and_an_unknown_one_is_kept(sent, kind, original):
    read = Deployment.read(SENT | {"kind": sent})[0]
    assert read.kind == kind
    assert read.kind_original == original or (original is not None and read.kind_original[:191] == original[:191])


def test_a_deployment_that_was_written_is_read_again():
    [read] = Deployment.read(SENT | {"kind": "Hotfix", "to_version": "v" * 300, "deployment_id": 5})
    assert Deployment.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": []}, "subject"),
        ({"subject": ["chat", None]}, "subject.1"),
        ({"subject": "two\nlines"}, "subject"),
        ({"kind": None}, "kind"),
        ({"deployment_id": ""}, "deployment_id"),
        ({"deployment_id": ["d-1"]}, "deployment_id"),
        ({"to_version": {"chart": 2}}, "to_version"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"timestamp": 17}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"summary": 10 * ["x"]}, "summary"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_field(changes, field):
    with pytest.raises(ValidationError) as refused:
        Deployment.read(SENT | changes)
    assert field in {".".join(map(str, error["loc"])) for error in refused.value.errors()}


def test_a_summary_is_cut():
    assert Deployment.read(SENT | {"summary": "x" * 20_000})[0].summary == "x" * SUMMARY_LENGTH_MAX
