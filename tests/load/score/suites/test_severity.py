"""The severity suite: the rules decide like a person, and differences are reported."""

from pathlib import Path

import pytest

from load.errors import LoadError
from load.score.suites.severity import SeverityCase, decide_cases, find_problems, read_severity_cases


@pytest.mark.parametrize("case", read_severity_cases(), ids=lambda case: case.says[:60])
def test_a_case_is_decided_as_a_person_does_and_names_its_rule(case: SeverityCase) -> None:
    (decision,) = decide_cases([case])
    assert (decision.severity, bool(decision.rule)) == (case.severity, True)


def test_a_case_that_is_decided_differently_and_too_few_cases_are_problems() -> None:
    wrong = read_severity_cases()[0].model_copy(update={"severity": "P4"})
    problems = find_problems(decide_cases([wrong]))
    assert "P1 by safety_failure, expected P4" in problems[0]
    assert "only 1 severity cases" in problems[1]


def test_an_invalid_case_is_an_error_with_file_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text('[[case]]\nsays = "nothing"\nseverity = "P9"\ndrifts = []\n')
    with pytest.raises(LoadError, match=r"cases\.toml has an invalid case: severity: .*; drifts: "):
        read_severity_cases(path)
