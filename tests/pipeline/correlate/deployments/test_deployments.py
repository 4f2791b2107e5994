"""Deployments: storage within a limit, and matching with the subjects, deployments and first uses that they concern."""

import random

import pytest

from pipeline.correlate.deployments.deployments import DeploymentHistory, RollbackIndex, ServedTraffic, describe_change
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from schemas.topics import DEPLOYMENTS
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    deployment,
    drift,
    incidents,
    kafka,
    newest,
    only,
    revisions,
    started,
    tick,
)

BOT = ServedTraffic("support-bot", "production", None)


def key(name, **fields):
    return DeploymentHistory.key(deployment(name, **fields))


def ids(history, first=0, last=2 * START):
    return [item.deployment_id for item in history.affecting(BOT, first, last)]


def test_deployments_come_in_order_of_time_whichever_arrived_first():
    history = DeploymentHistory(10)
    for name, before in (("b", 20), ("c", 10), ("a", 30)):
        assert history.add(deployment(name, before_s=before)) == []
    assert ids(history) == ["a", "b", "c"]


def test_a_time_span_includes_both_ends():
    history = DeploymentHistory(10)
    history.add(deployment("a", before_s=0))
    assert ids(history, START, START) == ["a"]
    assert ids(history, START + 1) == []
    assert ids(history, last=START - 1) == []


def test_the_deployment_that_arrived_first_is_dropped_not_the_oldest_by_time():
    history = DeploymentHistory(2)
    history.add(deployment("from-the-future", before_s=-10_000_000))
    history.add(deployment("b", before_s=20))
    assert history.add(deployment("a", before_s=30)) == [
        (key("from-the-future"), deployment("from-the-future", before_s=-10_000_000))
    ]
    assert ids(history) == ["a", "b"]
    assert len(history) == 2


def test_a_repeated_deployment_is_ignored_and_a_correction_replaces_it():
    history = DeploymentHistory(10)
    history.add(deployment("a", before_s=20))
    assert history.add(deployment("a", before_s=20)) is None
    assert history.add(deployment("a", before_s=40)) == []
    assert ids(history, last=START - 30_000) == ["a"]
    assert ids(history, START - 30_000) == []


def test_state_restored_in_any_order_drops_in_the_same_order():
    history, restored = DeploymentHistory(2), DeploymentHistory(2)
    for name in ("b", "a"):
        history.add(deployment(name))
    for name in ("a", "b"):
        assert restored.load(history.dump(key(name))) == key(name)
    assert restored.add(deployment("c")) == history.add(deployment("c")) == [(key("b"), deployment("b"))]
    assert restored.dump(key("b")) is None


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
def test_a_rollback_names_what_it_reverts_or_restores_the_old_version(fields, expected):
    assert RollbackIndex.reverts(deployment("d-43", **({"before_s": 0} | fields)), deployment("d-42")) is expected


def test_no_deployment_reverts_itself():
    same = deployment(from_version="v1", to_version="v1")
    assert not RollbackIndex.reverts(same, same)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "prompt v41 -> v42"),
        ({"kind": "flag", "name": "rerank", "from_version": "off", "to_version": "on"}, "flag rerank off -> on"),
        ({"from_version": None}, "prompt v42"),
        ({"kind": "provider_status", "from_version": None, "to_version": None}, "provider status (d-42)"),
    ],
)
def test_a_change_is_described_in_words(fields, words):
    assert describe_change(deployment(**fields)) == words


# rollbacks among many deployments


def some_deployments(seed):
    random_ = random.Random(seed)
    deployments = [
        deployment(
            f"d-{number}",
            before_s=random_.randrange(12),
            kind=random_.choice(("prompt", "index")),
            name=random_.choice((None, None, "faq")),
            subject=random_.choice(("support-bot", "support-bot", None)),
            environment="production",
            from_version=random_.choice((None, "v1", "v2", "v3")),
            to_version=random_.choice((None, "v1", "v2", "v3")),
            rollback_of=random_.choice((None, None, None, f"d-{random_.randrange(60)}")),
        )
        for number in range(random_.randrange(1, 60))
    ]
    return sorted(deployments, key=lambda item: (item.timestamp, item.deployment_id))


@pytest.mark.parametrize("seed", range(50))
def test_the_index_finds_what_comparing_all_pairs_would_find(seed):
    deployments = some_deployments(seed)
    index, reverts = RollbackIndex(deployments), RollbackIndex.reverts
    for one in deployments:
        expected = next((other for other in deployments if reverts(one, other)), None)
        assert index.find_reverted(one) == expected
        assert index.is_reverted(one) == any(reverts(other, one) for other in deployments)


def test_many_deployments_during_an_incident_do_not_make_it_slow(monkeypatch):
    compared, reverts = 0, RollbackIndex.reverts

    def counting(later, earlier):
        nonlocal compared
        compared += 1
        return reverts(later, earlier)

    step = started(CorrelateSettings(), drift())
    versions = ("1", "2")
    deployed = [
        deployment(
            f"l-{number}",
            before_s=-60 * (number + 1),
            kind="dependency",
            name=f"library-{number % 31}",
            from_version=versions[number % 2],
            to_version=versions[1 - number % 2],
        )
        for number in range(1_000)
    ]
    step.step(kafka(deployed))
    monkeypatch.setattr(RollbackIndex, "reverts", staticmethod(counting))
    [output] = step.step(kafka([tick(START + 1_001 * MINUTE)]))
    assert output.value is not None
    # Comparing all pairs would take a million.
    assert 0 < compared < 10_000


# first uses that a deployment declared


REFUSED = drift("refused", after_s=300)


def first_use(segment, *, before_s=20, **fields):
    """A first use of a version, a provider's model or a schema, ``before_s`` seconds before the start."""
    name = segment.partition("=")[0]
    signal = name if name in ("provider_model", "schema_id") else "versions"
    defaults = {
        "start": START - before_s * SECOND,
        "segment": segment,
        "detector": "first_seen",
        "channel": "first_seen",
        "tier": "cause" if signal == "versions" else "ticket",
        "effect": 20,
        "effect_kind": "ratio",
    }
    return drift(signal, **(defaults | fields))


def kinds(*contracts):
    return [suspect.kind for suspect in only(*contracts, REFUSED).suspects]


def test_a_version_that_nobody_deployed_is_a_suspect():
    [suspect] = only(first_use("model=m-2"), REFUSED).suspects
    assert (suspect.kind, suspect.name) == ("undeclared_change", "model=m-2")
    assert "served by model m-2 for the first time" in suspect.reason


@pytest.mark.parametrize("first", [True, False], ids=["deployment first", "deployment late"])
def test_a_version_that_was_deployed_is_not_a_suspect_beside_its_deployment(first):
    declared, seen = deployment(), first_use("prompt=v42")
    assert kinds(*((declared, seen) if first else (seen, declared))) == ["prompt"]


def test_a_version_deployed_hours_before_it_first_serves_is_declared():
    assert kinds(deployment(before_s=5 * 3600), first_use("prompt=v42")) == []


@pytest.mark.parametrize(
    ("before_s", "expected"), [(60, ["prompt"]), (3000, ["undeclared_change", "prompt"])], ids=["near", "far"]
)
def test_a_deployment_of_the_same_kind_within_ten_minutes_declares_a_first_use(before_s, expected):
    assert kinds(deployment(before_s=before_s, to_version="build-9"), first_use("prompt=v42")) == expected


def test_a_deployment_of_another_kind_or_subject_declares_nothing():
    other = deployment("d-1", kind="index", to_version="v42")
    another = deployment("d-2", subject="search")
    assert "undeclared_change" in kinds(other, another, first_use("prompt=v42"))


def test_an_undeclared_provider_model_is_a_p4():
    incident = only(first_use("provider_model=gpt-2027"))
    assert (incident.severity, incident.failure_mode) == ("P4", "undeclared_change")
    assert "served by provider_model gpt-2027 for the first time" in incident.summary


def test_an_unknown_schema_is_a_p4():
    incident = only(first_use("schema_id=orders-9"))
    assert (incident.severity, incident.failure_mode) == ("P4", "schema_change")


@pytest.mark.parametrize("kind", ["model", "provider_status"])
def test_a_declared_provider_model_opens_no_incident(kind):
    declared = deployment(kind=kind, from_version=None, to_version="gpt-2027")
    assert revisions(declared, first_use("provider_model=gpt-2027")) == []


def test_a_first_use_does_not_keep_an_incident_open():
    seen = first_use("provider_model=gpt-2027")
    assert only(seen).status == "mitigated"
    assert only(seen, tick(START + 10 * MINUTE)).status == "resolved"


def test_an_incident_with_a_first_use_resolves_when_its_signals_recover():
    seen = first_use("provider_model=gpt-2027", before_s=-30)
    refused = drift("refused", after_s=10)
    back = refused.model_copy(update={"state": "recovered", "sequence": 1, "updated_at": START + MINUTE, "now": 0.01})
    revisions = newest(refused, seen, back, tick(START + 10 * MINUTE)).values()
    assert {incident.status for incident in revisions} == {"resolved"}


# one id for several subjects


def test_deployments_of_two_subjects_with_one_id_are_both_stored():
    history = DeploymentHistory(10)
    for subject in ("support-bot", "search"):
        assert history.add(deployment("release-7", subject=subject)) == []
    assert len(history) == 2
    assert ids(history) == ["release-7"]


def test_a_deployment_of_several_subjects_is_a_suspect_in_each():
    sent = deployment("release-7").to_json().replace(b'"support-bot"', b'["support-bot", "search"]')
    step = started(None, drift(), drift(subject="search"))
    published = incidents(step.step(kafka([sent], topic=DEPLOYMENTS)))
    assert {(one.subject, one.suspects[0].deployment_id) for one in published} == {
        ("support-bot", "release-7"),
        ("search", "release-7"),
    }


def test_a_rollback_of_a_shared_id_reverts_the_deployment_of_its_own_subject():
    both = [deployment("release-7", subject=subject) for subject in ("search", "support-bot")]
    rollback = deployment("d-43", before_s=0, rollback_of="release-7")
    index = RollbackIndex([*both, rollback])
    assert index.find_reverted(rollback) == both[1]
    assert [index.is_reverted(one) for one in both] == [False, True]


def test_the_rollback_of_a_suspect_is_that_of_its_own_scope_and_not_of_another_with_its_id():
    shared = {"kind": "code", "from_version": "9f2b", "to_version": "9f2c"}
    environment = deployment("release-7", before_s=25, subject=None, environment="production", **shared)
    incident = only(environment, deployment("release-7"), drift(environment="production"))
    assert (incident.suspects[0].deployment_id, incident.suspects[0].kind) == ("release-7", "prompt")
    [rollback] = [step for step in incident.containment if step.action == "rollback"]
    assert rollback.to_version == "v41"


def test_a_deployment_with_the_id_of_a_rollback_still_breaks_the_freeze():
    back = deployment("release-8", before_s=-60, from_version="v42", to_version="v41")
    other = {"kind": "index", "from_version": "i-1", "to_version": "i-2"}
    environment = deployment("release-8", before_s=-60, subject=None, environment="production", **other)
    failure = drift(environment="production")
    assert only(deployment(), failure, back, tick(START + 2 * MINUTE)).freeze_broken_by == []
    assert only(deployment(), failure, back, environment, tick(START + 2 * MINUTE)).freeze_broken_by == ["release-8"]


def test_a_deployment_of_several_subjects_that_is_sent_again_is_stored_once_per_subject():
    sent = deployment("release-7").to_json().replace(b'"support-bot"', b'["support-bot", "search"]')
    step = CorrelateStep(CorrelateSettings())
    step.step(kafka([sent], topic=DEPLOYMENTS))
    first = {key for key, _ in step.changed() if key.startswith(b"deployment/")}
    assert len(first) == 2
    step.step(kafka([sent], topic=DEPLOYMENTS, first_offset=1))
    assert [key for key, _ in step.changed() if key.startswith(b"deployment/")] == []


# prompts that are live already


def moved(deployment_id, before_s, version, **fields):
    """A move of a prompt's label to a version, as Langfuse reports it."""
    values = {"name": "critic", "from_version": None, "to_version": version}
    return deployment(deployment_id, before_s=before_s, **(values | fields))


def test_a_prompt_that_is_live_already_changes_nothing_in_any_order_of_arrival():
    moves = [moved("a", 40, "3"), moved("b", 30, "4"), moved("c", 20, "4"), moved("d", 10, "4"), moved("e", 5, "3")]
    for seed in range(10):
        history = DeploymentHistory(10)
        for move in random.Random(seed).sample(moves, len(moves)):
            history.add(move)
        assert ids(history) == ["a", "b", "e"]
        assert ids(history, START - 25 * SECOND) == ["e"]


def test_a_prompt_is_live_for_its_own_name_subject_and_environment():
    history = DeploymentHistory(10)
    for number, fields in enumerate(({}, {"name": "other"}, {"environment": "production"}, {"environment": "staging"})):
        history.add(moved(f"d-{number}", 40 - number, "3", **fields))
    assert ids(history) == ["d-0", "d-1", "d-2", "d-3"]


@pytest.mark.parametrize("fields", [{"kind": "code"}, {"from_version": "2"}, {"to_version": None}])
def test_other_deployments_of_a_version_are_changes(fields):
    history = DeploymentHistory(10)
    for before_s in (40, 30):
        history.add(moved(f"d-{before_s}", before_s, "3").model_copy(update=fields))
    assert ids(history) == ["d-40", "d-30"]


def test_a_prompt_is_a_change_again_once_the_earlier_one_is_corrected():
    history = DeploymentHistory(10)
    history.add(moved("a", 40, "3"))
    history.add(moved("b", 30, "3"))
    assert ids(history) == ["a"]
    history.add(moved("a", 40, "2"))
    assert ids(history) == ["a", "b"]


def test_a_prompt_is_a_change_again_once_the_earlier_one_is_dropped():
    history = DeploymentHistory(2)
    for name, before_s in (("a", 40), ("b", 30), ("c", 20)):
        history.add(moved(name, before_s, "3"))
    assert ids(history) == ["b"]


def test_a_prompt_that_is_live_already_is_no_suspect_and_breaks_no_freeze():
    old, again = moved("d-41", 90_000, "3"), moved("d-42", 20, "3")
    assert only(old, again, drift()).suspects == []
    late = moved("d-43", -60, "3")
    assert only(old, drift(), late, tick(START + 2 * MINUTE)).freeze_broken_by == []


def test_a_deployment_without_a_scope_affects_everything():
    unscoped = deployment(subject=None, kind="dependency", from_version=None, to_version="2")
    suspect = only(unscoped, drift()).suspects[0]
    assert suspect.deployment_id == "d-42"
    assert "it affects all subjects;" in f"{suspect.reason};"


def test_a_deployment_that_was_stored_by_its_id_alone_is_stored_by_its_key_after_a_restart():
    parts = {key: value for key, value in started(None, deployment()).changed() if value is not None}
    [value] = [value for key, value in parts.items() if key.startswith(b"deployment/")]
    restored = CorrelateStep(CorrelateSettings())
    assert list(restored.restore([(b"deployment/d-42", value)])) == []
    changed = dict(restored.changed())
    assert changed.pop(b"deployment/d-42") is None
    assert {key: value for key, value in changed.items() if value is not None} == {
        key: value for key, value in parts.items() if key.startswith(b"deployment/")
    }


def test_a_release_of_the_service_can_be_the_likely_cause_and_an_unknown_kind_cannot():
    outage = drift("error")
    release = {"name": None, "from_version": "9f2b", "to_version": "9f2c"}
    assert "Most likely cause: code 9f2b -> 9f2c" in only(deployment(kind="code", **release), outage).summary
    assert "Most likely cause" not in only(deployment(kind="other", **release), outage).summary
