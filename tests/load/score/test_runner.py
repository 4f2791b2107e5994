"""The runner: results do not depend on which tasks share a process."""

import pytest

from load.score.runner import run_suites
from load.score.suite import ScorePlan
from load.score.suites import failures, harmless
from tests.load.score.scenarios import DATA, SEED, SETTINGS, shorten

pytestmark = pytest.mark.slow


def test_a_task_gives_the_same_result_beside_any_others(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"failure": [shorten("outputs_empty"), shorten("errors_up")], "harmless": [shorten("absurd_value")]}
    for suite in (failures, harmless):
        monkeypatch.setattr(suite, "read_scenarios", few.__getitem__)
    plan, progress = ScorePlan(("failures", "harmless"), SEED, DATA, SETTINGS, size=0.01), []
    results = run_suites(plan, lambda count, total: progress.append((count, total)))
    assert progress == [(0, 4), (4, 4)], "tasks that share a baseline run in one process"
    assert results.select("failures", "errors_up") == [failures.run_failure(shorten("errors_up"), SEED, SETTINGS)]
    assert [run.scenario for run in results.select("failures")] == ["outputs_empty", "errors_up"]
    assert set(results.processor_s) == {"failures", "harmless", "provokes"}
    assert min(results.processor_s.values()) > 0
