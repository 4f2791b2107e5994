"""The members of groups: who is in which, and what a message says about the others."""

from tests.pipeline.route.test_grouping import Run


def test_a_group_with_very_long_labels_is_sent():
    run = Run(group_by=["segment"])
    run.revise("a", segments=[f"tenant={number}{'x' * 150}" for number in range(400)])
    run.revise("b", segments=[f"tenant={number}{'x' * 150}" for number in range(401)])
    run.tick(30)
    assert run.send() == [(["a"], []), (["b"], [])]
    assert len(run.notes[-1].group) < 300
