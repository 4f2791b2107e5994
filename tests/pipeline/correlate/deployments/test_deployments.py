import pytest

from pipeline.correlate.deployments.deployments import DeploymentHistory, ServedTraffic, describe_change, reverts
from tests.pipeline.correlate.builders import START, deployment

BOT = ServedTraffic("support-bot", "production", None)


def ids(deployments, first=0, last=2 * START):
    return [each.deployment_id for each in deployments.of(BOT, first, last)]


def test_deployments_come_in_order_of_time_whichever_arrived_first():
    kept = DeploymentHistory(10)
    for name, before in (("b", 20), ("c", 10), ("a", 30)):
        assert kept.add(deployment(name, before_s=before)) == []
    assert ids(kept) == ["a", "b", "c"]


def test_both_ends_of_a_span_belong_to_it():
    kept = DeploymentHistory(10)
    kept.add(deployment("a", before_s=0))
    assert ids(kept, START, START) == ["a"]
    assert ids(kept, START + 1) == []
    assert ids(kept, last=START - 1) == []


def test_the_oldest_to_arrive_makes_room_and_not_the_oldest_by_time():
    kept = DeploymentHistory(2)
    kept.add(deployment("from-the-future", before_s=-10_000_000))
    kept.add(deployment("b", before_s=20))
    assert kept.add(deployment("a", before_s=30)) == ["from-the-future"]
    assert ids(kept) == ["a", "b"]
    assert len(kept) == 2


def test_the_same_deployment_again_is_nothing_new_and_a_correction_replaces_it():
    kept = DeploymentHistory(10)
    kept.add(deployment("a", before_s=20))
    assert kept.add(deployment("a", before_s=20)) is None
    assert kept.add(deployment("a", before_s=40)) == []
    assert ids(kept, last=START - 30_000) == ["a"]
    assert ids(kept, START - 30_000) == []


def test_state_taken_up_in_any_order_makes_room_in_the_same_order():
    kept, other = DeploymentHistory(2), DeploymentHistory(2)
    for name in ("b", "a"):
        kept.add(deployment(name))
    for name in ("a", "b"):
        other.load(kept.dump(name))
    assert other.add(deployment("c")) == kept.add(deployment("c")) == ["b"]
    assert other.dump("b") is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"from_version": "v42", "to_version": "v41"}, True),
        ({"from_version": None, "to_version": "v41"}, True),
        ({"from_version": "v42", "to_version": "v43"}, False),
        ({"from_version": "v40", "to_version": "v41"}, False),
        ({"from_version": "v42", "to_version": "v41", "kind": "model"}, False),
        ({"from_version": "v42", "to_version": "v41", "name": "other"}, False),
        ({"from_version": None, "to_version": None}, False),
        ({"to_version": "v39", "rollback_of": "d-42"}, True),
        ({"from_version": "v42", "to_version": "v41", "rollback_of": "d-7"}, False),
        ({"from_version": "v42", "to_version": "v41", "before_s": 30}, False),
    ],
)
def test_a_rollback_says_so_or_brings_the_old_version_back(fields, expected):
    assert reverts(deployment("d-43", **({"before_s": 0} | fields)), deployment("d-42")) is expected


def test_nothing_takes_itself_back():
    assert not reverts(deployment(from_version="v1", to_version="v1"), deployment(from_version="v1", to_version="v1"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "prompt v41 -> v42"),
        ({"kind": "flag", "name": "rerank", "from_version": "off", "to_version": "on"}, "flag rerank off -> on"),
        ({"from_version": None}, "prompt v42"),
        ({"kind": "provider_status", "from_version": None, "to_version": None}, "provider status (d-42)"),
    ],
)
def test_a_change_in_words(fields, words):
    assert describe_change(deployment(**fields)) == words
