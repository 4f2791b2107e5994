"""The field suite: loud failures are found in a stream that learned live, and the figures count what the table says."""

from pathlib import Path

import pytest

from load.errors import LoadError
from load.score import LONG_SUITES, SUITES, ScorePlan
from load.score.suite import ScoreResults
from load.score.suites import field_trials
from load.score.suites.field_trials import FieldCase, FieldRun, build_row, judge_run, read_field_cases, run_field_case
from tests.load.score.scenarios import DATA, SETTINGS
from tests.pipeline.correlate.builders import drift

SEED = 41
EVENT_MS = 1_795_000_000_000
CASES = {case.name: case for case in read_field_cases()}


def run(
    case: FieldCase, *, found: bool = True, in_time: bool = True, delay_min: float = 5.0, pages: int = 0
) -> FieldRun:
    forbidden = tuple(f"error rate at +{number} min" for number in range(pages))
    delay = delay_min if found else None
    return FieldRun(case.name, 1, found, in_time, "page", delay, forbidden, forbidden, SETTINGS.digest())


def test_the_table_has_the_events_and_enough_of_each_kind() -> None:
    observed = [case for case in CASES.values() if case.observed]
    others = [case for case in CASES.values() if not case.observed]
    assert len(observed) == 8
    assert sum(case.kind == "failure" for case in others) >= 20
    assert sum(case.kind == "harmless" for case in others) >= 15
    assert len(CASES) == len(read_field_cases())


def test_observed_events_have_ten_seeds_and_share_their_stream_with_the_others() -> None:
    tasks = list(field_trials.tasks(ScorePlan(("field",), 1000, DATA, SETTINGS)))
    seeds = [task.key[2] for task in tasks if task.key[1] == "cache_off"]
    assert seeds == list(range(1000, 1010))
    assert [task.key[2] for task in tasks if task.key[1] == "holiday"] == [1000, 1001, 1002]
    assert len({task.group for task in tasks}) == 20
    assert len(list(field_trials.tasks(ScorePlan(("field",), 5, DATA, SETTINGS, size=0.1)))) == len(CASES)


def test_the_suite_is_run_only_if_it_is_named() -> None:
    assert set(SUITES) > LONG_SUITES == {"field", "nab", "renewal"}


@pytest.mark.parametrize(
    ("key", "message"),
    [("limit_min = 3", "limit_min"), ("within_min = 5", "belong to failures"), ("days = 3", "needs play_min")],
)
def test_a_case_that_makes_no_sense_is_an_error(tmp_path: Path, key: str, message: str) -> None:
    path = tmp_path / "field.toml"
    path.write_text(f'[[case]]\nname = "x"\nsays = "x"\nkind = "harmless"\n{key}\n')
    with pytest.raises(LoadError, match=message):
        read_field_cases(path)


def test_a_failure_is_found_by_an_expected_signal_at_its_tier_after_the_event() -> None:
    case = CASES["refusals_up"]
    page = drift("refused", start=EVENT_MS + 60_000, after_s=60)
    for fired, found, in_time in (
        ([page], True, True),
        ([page.model_copy(update={"tier": "ticket"})], False, False),
        ([page.model_copy(update={"signal": "error"})], False, False),
        ([page.model_copy(update={"detected_at": EVENT_MS - 1})], False, False),
        ([page.model_copy(update={"detected_at": EVENT_MS + 11 * 60_000})], True, False),
    ):
        judged = judge_run(case, SEED, fired, EVENT_MS, SETTINGS)
        assert (judged.found, judged.in_time) == (found, in_time)
    judged = judge_run(case, SEED, [page], EVENT_MS, SETTINGS)
    assert (judged.delay_min, judged.pages, judged.tickets) == (2.0, (), ())


def test_a_page_before_the_ticket_does_not_find_what_sinks_slowly() -> None:
    case = CASES["confidence_sinks"]
    ticket = drift("confidence", start=EVENT_MS, after_s=3600, tier="ticket")
    early, late = (drift("confidence", start=EVENT_MS, after_s=after_s) for after_s in (1800, 7200))
    assert judge_run(case, SEED, [ticket, late], EVENT_MS, SETTINGS).in_time
    assert not judge_run(case, SEED, [early, ticket], EVENT_MS, SETTINGS).found


def test_drifts_of_other_signals_and_before_the_event_are_forbidden() -> None:
    fired = [
        drift("refused", start=EVENT_MS - 120_000),
        drift("error", start=EVENT_MS, segment="tenant=campus"),
        drift("confidence", start=EVENT_MS, tier="ticket"),
        drift("length", start=EVENT_MS, tier="cause"),
    ]
    judged = judge_run(CASES["refusals_up"], SEED, fired, EVENT_MS, SETTINGS)
    assert judged.pages == ("refused rate at -2 min", "error rate tenant=campus at +0 min")
    assert judged.tickets == ("confidence location at +0 min",)
    assert len(judge_run(CASES["campaign"], SEED, fired, EVENT_MS, SETTINGS).pages) == 2


def test_rows_and_figures_count_what_is_found_in_time_and_forbidden() -> None:
    runs = {name: [run(case)] for name, case in CASES.items()}
    runs["refusals_up"] = [run(CASES["refusals_up"]), run(CASES["refusals_up"], found=False, in_time=False)]
    runs["cache_off"] = [run(CASES["cache_off"], in_time=False, delay_min=50.0)]
    runs["campaign"] = [run(CASES["campaign"], found=False, pages=2)]
    runs["holiday"] = [run(CASES["holiday"], found=False, pages=1)]
    by_key = {("field", name, seed): result for name, results in runs.items() for seed, result in enumerate(results)}
    results = ScoreResults(ScorePlan(("field",), 1000, DATA, SETTINGS), by_key, {}, 1.0)
    suite_report = field_trials.report(results)
    failures = sum(case.kind == "failure" for case in CASES.values())
    assert suite_report.figures["found_share"] == pytest.approx(1 - 0.5 / failures)
    assert suite_report.figures["in_time_share"] == pytest.approx(1 - 1.5 / failures)
    assert suite_report.figures["harmless_pages"] == 3
    assert suite_report.figures["harmless_tickets"] == 2, "a ticket is allowed on a holiday"
    assert suite_report.figures["never_fire"]["found_share"] == 0.0
    named = " ".join(suite_report.problems)
    assert "cache_off: found in 100% of 1 runs, after 50.0 of 10 minutes" in named
    assert "campaign: 2 forbidden pages" in named
    assert "rebuild_missed" not in named
    row = build_row(CASES["refusals_up"], runs["refusals_up"])
    assert (row["found_share"], row["median_delay_min"]) == (0.5, 5.0)


@pytest.mark.slow
def test_a_loud_failure_is_found_in_a_quiet_stream_that_learned_live() -> None:
    cases = [CASES[name].model_copy(update={"days": 2}) for name in ("provider_fails", "absurd_record")]
    provider, absurd = (run_field_case(case, SEED, SETTINGS, per_second=0.1) for case in cases)
    assert provider.found
    assert absurd.pages == ()
