"""A deployment that declares a shift requests to relearn its signals, once."""

from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.correlate.builders import deployment, kafka, started


def relearns(*contracts):
    outputs = started().step(kafka(contracts))
    return [(output.key, Relearn.from_json(output.value or b"")) for output in outputs if output.topic == BASELINES]


def test_a_declared_shift_is_relearned_from_the_time_of_the_deployment():
    declared = deployment(expect_shift=["output_tokens", "length", "length"])
    [(key, relearn)] = relearns(declared)
    assert relearn.subject == "support-bot"
    assert relearn.at == declared.timestamp
    assert relearn.signals == ["length", "output_tokens"]
    assert (relearn.reason, relearn.requested_by) == ("expected_shift", "d-42")
    assert key == f"support-bot/{relearn.relearn_id}".encode()


def test_a_repeated_deployment_is_relearned_once_and_another_deployment_again():
    declared = deployment(expect_shift=["length"])
    assert len(relearns(declared, declared)) == 1
    both = relearns(declared, deployment("d-43", expect_shift=["length"]))
    assert len({relearn.relearn_id for _, relearn in both}) == 2


def test_a_deployment_without_a_shift_or_without_a_subject_relearns_nothing():
    shared = deployment("all", subject=None, environment="production", expect_shift=["length"])
    assert relearns(deployment(), shared) == []
