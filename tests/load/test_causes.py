"""The causes suite: its decoys are as promised, a right answer counts, and a wrong one is named."""

from dataclasses import replace

import numpy as np
import pytest

from load.errors import LoadError
from load.score.simulation.stream import begins_ms
from load.score.suites import causes
from load.score.suites.decoys import CANARY_LAG_S, DECOYS, LAG_S, WITHIN_S, Deployed, Planted, deployments, lag_s
from load.world.lines import SUBJECT
from pipeline.detect.settings import DetectSettings

CASES = {case.name: case for case in causes.cases()}
BY_DEPLOYMENT = [case for case in CASES.values() if case.cause == "deployment"]


def deployed(case: causes.Case, seed: int) -> Deployed:
    random, scenario = np.random.default_rng(seed), case.scenario()
    lag = lag_s(case.canary, random)
    unknown = case.cause == "inconclusive"
    planted = Planted(case.kind, case.deployed, case.canary, case.others, lag, unknown)
    return deployments(planted, scenario, begins_ms(scenario, seed), random)


def own_seconds(found: Deployed, at_ms: int) -> list[float]:
    """Of the decoys of the subject and all that it shares, seconds from the start."""
    return [
        (each.timestamp - at_ms) / 1000
        for each in found.every
        if each.deployment_id != found.cause and each.subject in (SUBJECT, None)
    ]


@pytest.mark.parametrize("case", BY_DEPLOYMENT, ids=lambda case: case.name)
def test_a_planted_deployment_lies_among_decoys_before_and_after_and_of_its_kind(case: causes.Case) -> None:
    for seed in range(20):
        found, at_ms = deployed(case, seed), begins_ms(case.scenario(), seed)
        cause = next(each for each in found.every if each.deployment_id == found.cause)
        decoys = [each for each in found.every if each is not cause]
        lag = (at_ms - cause.timestamp) / 1000
        assert 0 <= lag <= (CANARY_LAG_S[1] if case.canary else LAG_S)
        assert len(decoys) >= DECOYS
        assert all(abs(each.timestamp - at_ms) <= WITHIN_S * 1000 for each in decoys)
        assert {each.timestamp < at_ms for each in decoys} == {True, False}
        assert any(each.kind == cause.kind and each.subject == SUBJECT for each in decoys)


@pytest.mark.parametrize(
    "case", [each for each in CASES.values() if each.cause != "deployment"], ids=lambda each: each.name
)
def test_where_no_deployment_did_it_none_is_planted(case: causes.Case) -> None:
    for seed in range(20):
        found = deployed(case, seed)
        assert found.cause is None
        assert len(found.every) >= DECOYS
        if case.cause != "inconclusive":
            assert own_seconds(found, begins_ms(case.scenario(), seed))


def test_a_canary_on_a_twentieth_of_the_traffic_is_named_by_its_version() -> None:
    judged = causes.run_cause(CASES["canary_prompt_refuses"], 3, DetectSettings())
    assert (judged.is_right, judged.split) == (True, "bad")


def test_a_wrong_suspect_a_guess_and_too_few_decoys_miss_their_floors() -> None:
    right = causes.Judged(
        scenario="a", seed=1, cause="deployment", is_canary=True, is_late=False, decoys=3, expected="cause-1",
        first="cause-1", first_score=1.0, guessed="cause-1", without_split="decoy-2", last="decoy-2", nearest="decoy-2",
        split="bad",
    )  # fmt: skip
    other = replace(
        right, cause="retrieval", is_canary=False, expected="retrieval", first="retrieval", guessed="retrieval"
    )
    silent = replace(right, cause="inconclusive", is_canary=False, expected="inconclusive", guessed="")
    assert causes.problems(causes.causes_report([right, other, silent])) == []
    for worse, word in (
        (replace(right, first="decoy-2", decoys=3), "the deployment"),
        (replace(right, decoys=2), "only 2 decoys"),
        (replace(right, split=None), "versions side by side"),
        (replace(right, guessed=""), "too rarely"),
        (replace(other, first="nothing"), "no deployment"),
        (replace(other, guessed=""), "too rarely"),
        (replace(silent, guessed="decoy-1"), "nobody can know"),
        (replace(silent, first=causes.NO_INCIDENT), "nobody can know"),
    ):
        rows = [worse if worse.cause == each.cause else each for each in (right, other, silent)]
        missed = causes.problems(causes.causes_report(rows))
        assert any(word in line for line in missed), (word, missed)


def test_a_file_that_holds_no_cases_says_what_is_wrong(tmp_path) -> None:
    file = tmp_path / "causes.toml"
    file.write_text('[[case]]\nname = "x"\nsays = "nothing"\ncause = "fate"\ntouch = []\n')
    with pytest.raises(LoadError, match=r"causes\.toml has an invalid case: cause: "):
        causes.cases(file)
