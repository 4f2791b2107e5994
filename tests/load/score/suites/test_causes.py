"""The causes suite: its decoys match the plan, correct answers count, and wrong answers are problems."""

from dataclasses import replace

import numpy as np
import pytest

from load.errors import LoadError
from load.score.suites import causes
from load.score.suites.decoys import (
    CANARY_LAG_S,
    DECOYS_MIN,
    LAG_MAX_S,
    WITHIN_S,
    CaseDeployments,
    PlantedCause,
    draw_lag_s,
    make_deployments,
)
from load.world.json_writer import SUBJECT
from pipeline.detect.settings import DetectSettings

pytestmark = pytest.mark.slow

CASES = {case.name: case for case in causes.read_cause_cases()}
BY_DEPLOYMENT = [case for case in CASES.values() if case.cause == "deployment"]


def deploy(case: causes.CauseCase, seed: int) -> CaseDeployments:
    random, scenario = np.random.default_rng(seed), case.build_scenario()
    lag_s = draw_lag_s(case.canary, random)
    is_unknown = case.cause == "inconclusive"
    planted = PlantedCause(case.kind, case.deployed, case.canary, case.others, lag_s, is_unknown)
    return make_deployments(planted, scenario, scenario.change_ms(seed), random)


@pytest.mark.parametrize("case", BY_DEPLOYMENT, ids=lambda case: case.name)
def test_a_planted_deployment_has_decoys_before_and_after_it_and_of_its_kind(case: causes.CauseCase) -> None:
    for seed in range(20):
        deployments, at_ms = deploy(case, seed), case.build_scenario().change_ms(seed)
        cause = next(one for one in deployments.every if one.deployment_id == deployments.cause)
        decoys = [one for one in deployments.every if one is not cause]
        lag_s = (at_ms - cause.timestamp) / 1000
        assert 0 <= lag_s <= (CANARY_LAG_S[1] if case.canary else LAG_MAX_S)
        assert len(decoys) >= DECOYS_MIN
        assert all(abs(decoy.timestamp - at_ms) <= WITHIN_S * 1000 for decoy in decoys)
        assert {decoy.timestamp < at_ms for decoy in decoys} == {True, False}
        assert any(decoy.kind == cause.kind and decoy.subject == SUBJECT for decoy in decoys)


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.cause != "deployment"], ids=lambda case: case.name
)
def test_no_deployment_is_planted_for_another_cause(case: causes.CauseCase) -> None:
    for seed in range(20):
        deployments = deploy(case, seed)
        assert deployments.cause is None
        assert len(deployments.every) >= DECOYS_MIN
        if case.cause != "inconclusive":
            assert any(decoy.subject in (SUBJECT, None) for decoy in deployments.every)


def test_a_canary_on_a_twentieth_of_the_traffic_is_identified_by_its_version() -> None:
    result = causes.run_case(CASES["canary_prompt_refuses"], 3, DetectSettings())
    assert (result.is_right, result.split) == (True, "bad")


def test_a_wrong_suspect_a_guess_and_too_few_decoys_miss_their_floors() -> None:
    right = causes.CauseResult(
        scenario="a",
        seed=1,
        cause="deployment",
        is_canary=True,
        is_late=False,
        decoys=3,
        expected="cause-1",
        first="cause-1",
        first_score=1.0,
        guessed="cause-1",
        without_split="decoy-2",
        last="decoy-2",
        nearest="decoy-2",
        split="bad",
    )
    other = replace(
        right, cause="retrieval", is_canary=False, expected="retrieval", first="retrieval", guessed="retrieval"
    )
    silent = replace(right, cause="inconclusive", is_canary=False, expected="inconclusive", guessed="")
    assert causes.find_problems(causes.figures([right, other, silent])) == []
    for worse, text in (
        (replace(right, first="decoy-2", decoys=3), "the planted deployment"),
        (replace(right, decoys=2), "only 2 decoys"),
        (replace(right, split=None), "comparison of versions"),
        (replace(right, guessed=""), "too rarely"),
        (replace(other, first="nothing"), "other than a deployment"),
        (replace(other, guessed=""), "too rarely"),
        (replace(silent, guessed="decoy-1"), "cannot be known"),
        (replace(silent, first=causes.NO_INCIDENT), "cannot be known"),
    ):
        results = [worse if worse.cause == result.cause else result for result in (right, other, silent)]
        problems = causes.find_problems(causes.figures(results))
        assert any(text in problem for problem in problems), (text, problems)


def test_an_invalid_case_is_an_error_with_file_and_keys(tmp_path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text('[[case]]\nname = "x"\nsays = "nothing"\ncause = "fate"\ntouch = []\n')
    with pytest.raises(LoadError, match=r"causes\.toml has an invalid case: cause: "):
        causes.read_cause_cases(path)
