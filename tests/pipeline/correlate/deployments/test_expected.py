"""A deployment that declares a shift has its new normal learned, once."""

from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.correlate.builders import deployment, kafka, started


def relearns(*contracts):
    outputs = started().step(kafka(contracts))
    return [(output.key, Relearn.from_json(output.value or b"")) for output in outputs if output.topic == BASELINES]


def test_a_declared_shift_is_to_be_learned_from_the_deployment_on():
    declared = deployment(expect_shift=["output_tokens", "length", "length"])
    [(key, relearn)] = relearns(declared)
    assert relearn.subject == "support-bot"
    assert relearn.at == declared.timestamp
    assert relearn.signals == ["length", "output_tokens"]
    assert (relearn.reason, relearn.requested_by) == ("expected_shift", "d-42")
    assert key == f"support-bot/{relearn.relearn_id}".encode()


def test_written_twice_it_is_learned_once_and_another_is_another():
    declared = deployment(expect_shift=["length"])
    assert len(relearns(declared, declared)) == 1
    both = relearns(declared, deployment("d-43", expect_shift=["length"]))
    assert len({relearn.relearn_id for _, relearn in both}) == 2


def test_a_deployment_that_declares_nothing_or_touches_many_subjects_has_nothing_learned():
    assert (
        relearns(deployment(), deployment("all", subject=None, environment="production", expect_shift=["length"])) == []
    )
