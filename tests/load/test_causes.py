"""The causes suite: its decoys are as promised, a right answer counts, and a wrong one is named."""

from dataclasses import replace

import numpy as np
import pytest

from load.errors import LoadError
from load.lines import SUBJECT
from load.score import causes
from load.score.decoys import DECOYS, WITHIN_S, Deployed, Planted, deployments
from load.score.stream import begins_ms
from pipeline.detect.settings import DetectSettings

CASES = {case.name: case for case in causes.cases()}
BY_DEPLOYMENT = [case for case in CASES.values() if case.cause == "deployment"]


def deployed(case: causes.Case, seed: int) -> Deployed:
    planted = Planted(case.kind, case.deployed, case.canary, case.others)
    at_ms = begins_ms(case.scenario, seed)
    return deployments(planted, case.scenario, at_ms, np.random.default_rng(seed))


@pytest.mark.parametrize("case", BY_DEPLOYMENT, ids=lambda case: case.name)
def test_a_planted_deployment_lies_among_decoys_before_and_after_and_of_its_kind(case: causes.Case) -> None:
    for seed in range(20):
        found, at_ms = deployed(case, seed), begins_ms(case.scenario, seed)
        cause = next(each for each in found.every if each.deployment_id == found.cause)
        decoys = [each for each in found.every if each is not cause]
        assert cause.timestamp == at_ms
        assert len(decoys) >= DECOYS
        assert all(abs(each.timestamp - at_ms) <= WITHIN_S * 1000 for each in decoys)
        assert {each.timestamp < at_ms for each in decoys} == {True, False}
        assert any(each.kind == cause.kind and each.subject == SUBJECT for each in decoys)


@pytest.mark.parametrize(
    "case", [each for each in CASES.values() if each.cause != "deployment"], ids=lambda each: each.name
)
def test_where_no_deployment_did_it_none_is_planted(case: causes.Case) -> None:
    assert deployed(case, 1).cause is None
    assert len(deployed(case, 1).every) >= DECOYS


def test_a_canary_on_a_twentieth_of_the_traffic_is_named_by_its_version() -> None:
    judged = causes.run_cause(CASES["canary_prompt_refuses"], 3, DetectSettings())
    assert (judged.is_right, judged.split) == (True, "bad")


def test_a_wrong_suspect_a_guess_and_too_few_decoys_miss_their_floors() -> None:
    right = causes.Judged("a", 1, "deployment", False, False, 3, "cause-1", "cause-1", 1.0, "cause-1", "cause-1", None)
    other = replace(right, cause="retrieval", expected="retrieval", first="retrieval")
    silent = replace(right, cause="inconclusive", expected="inconclusive", guessed="")
    assert causes.problems(causes.causes_report([right, other, silent])) == []
    wrong = [
        replace(right, first="decoy-2", decoys=2),
        replace(other, first="nothing"),
        replace(silent, guessed="decoy-1"),
    ]
    missed = causes.problems(causes.causes_report(wrong))
    assert [line.split(" ")[0] for line in missed] == ["the", "a", "1", "only"]


def test_a_file_that_holds_no_cases_says_what_is_wrong(tmp_path) -> None:
    file = tmp_path / "causes.toml"
    file.write_text('[[case]]\nname = "x"\nsays = "nothing"\ncause = "fate"\ntouch = []\n')
    with pytest.raises(LoadError, match=r"causes\.toml holds a case that is none: cause: "):
        causes.cases(file)
