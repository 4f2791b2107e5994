"""The score can fail: what is planted is found, what is not is not, and what fires in a quiet world is counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from load.commands.score import command
from load.errors import LoadError
from load.score import run_suites as suites
from load.score.report import report
from load.score.run_suites import Done, Plan
from load.score.simulation.normal_day import Normal, baseline_of, normal_of
from load.score.simulation.scenario import FOLDER, Scenario, read, scenarios
from load.score.simulation.stream import stream
from load.score.suites import failures, harmless, severity
from load.score.suites.false_alarms import Quiet, listen, merged, null_report
from load.score.suites.floor import floor_of
from load.score.suites.play import play, play_scenario
from load.score.suites.provoked import provoked, without_event
from load.score.suites.recorded import ROWS, run_real
from load.score.suites.river_detectors import alarms, three_sigma
from load.world.world import SIGNALS
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS
from pipeline.detect.signals.catalogue import SIGNALS as CATALOGUE
from schemas.record import Record

SETTINGS = DetectSettings()
SEED = 77
DATA = Path(__file__).parents[3] / "shared" / "data"
KNOWN = {signal.name for signal in (*CATALOGUE, *CATEGORIES, *EVENTS)}
ALL = scenarios()


def named(name: str) -> Scenario:
    return next(scenario for scenario in ALL if scenario.name == name)


def short(name: str, **changes: object) -> Scenario:
    return named(name).model_copy(update={"healthy_s": 40.0, "after_s": 60.0, **changes})


# scenarios


def test_there_are_as_many_scenarios_as_the_score_promises() -> None:
    kinds = [scenario.kind for scenario in ALL]
    assert kinds.count("failure") >= 35
    assert kinds.count("harmless") >= 20
    assert sum(scenario.clear for scenario in ALL) >= 12


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_scenario_says_what_and_why_of_signals_that_exist(scenario: Scenario) -> None:
    assert len(scenario.title) > 8
    assert len(scenario.why) > 20
    assert set(scenario.signals) <= KNOWN
    assert {touch.signal for touch in scenario.touch} <= KNOWN | {"region", "tenant", "embedding"}
    assert not scenario.clear or scenario.tier == "page"


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_stream_is_the_same_for_the_same_seed_and_its_records_fit_the_contract(scenario: Scenario) -> None:
    scenario = scenario.model_copy(update={"healthy_s": 5.0, "after_s": min(scenario.after_s, 10.0)})
    once, again = ([part.lines for part in stream(scenario, SEED)] for _ in range(2))
    assert once == again
    lines = [line for part in once for line in part]
    assert lines
    for line in lines[:: max(1, len(lines) // 50)]:
        Record.from_json(line)


@pytest.mark.parametrize(
    "scenario", [each for each in ALL if each.touch and each.world == "bot"], ids=lambda scenario: scenario.name
)
def test_a_touch_moves_its_signal_from_the_change_on_and_not_before(scenario: Scenario) -> None:
    scenario = scenario.model_copy(update={"healthy_s": 20.0, "after_s": min(scenario.after_s, 60.0)})
    healthy = scenario.model_copy(update={"touch": ()})
    for touch in scenario.touch:
        if touch.signal == "embedding":
            continue
        column = {}
        for name, each in (("touched", scenario), ("healthy", healthy)):
            parts = [part.columns for part in stream(each, SEED)]
            if touch.signal in SIGNALS or touch.signal in parts[0].values:
                column[name] = np.concatenate([part.values[touch.signal] for part in parts])
            else:
                column[name] = np.array([label for part in parts for label in part.labels[touch.signal]], dtype=object)
        if touch.how == "factor" and touch.amount == 1.0:
            continue
        first = round(20.0 * scenario.records_per_second * 0.7)
        assert list(map(str, column["touched"][:first])) == list(map(str, column["healthy"][:first]))
        assert list(map(str, column["touched"])) != list(map(str, column["healthy"]))


def test_an_unknown_key_in_a_scenario_is_an_error_that_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text((FOLDER / "refusals_up.toml").read_text() + 'tiers = "page"\n')
    with pytest.raises(LoadError, match=r"wrong\.toml is no scenario: .*tiers"):
        read(path)
    path.write_text('title = "x"\nwhy = "y"\nkind = "failure"\n')
    with pytest.raises(LoadError, match="a failure says its tier and signals"):
        read(path)


# failures


def test_a_planted_failure_is_found_in_its_tier_near_its_floor_and_start() -> None:
    run = failures.run_failure(short("outputs_empty"), SEED, SETTINGS)
    assert (run.found, run.tier, run.false_pages, run.false_tickets) == (True, "page", 0, 0)
    assert run.delay_records is not None
    assert run.floor_records is not None
    assert 0.9 * run.floor_records < run.delay_records < 1.6 * run.floor_records
    assert run.start_error_records is not None
    assert run.start_error_records < 20


def test_a_failure_that_is_not_planted_is_not_found() -> None:
    run = failures.run_failure(short("outputs_empty", touch=()), SEED, SETTINGS)
    assert (run.found, run.tier, run.delay_records) == (False, None, None)


def test_a_failure_of_another_signal_than_expected_is_a_false_page_and_not_found() -> None:
    run = failures.run_failure(
        short("outputs_empty", signals=("refused",), also=(), touch=named("latency_x3").touch), SEED, SETTINGS
    )
    assert not run.found
    assert run.false_pages == 0, "what the scenario touches may be found"
    scenario = short("outputs_empty", signals=("refused",), also=())
    wrong = scenario.model_copy(update={"touch": named("outputs_empty").touch[:1]})
    moved = {"refused", "empty"}
    assert wrong.moved == moved
    assert not failures.run_failure(wrong, SEED, SETTINGS).found


def test_a_page_where_a_ticket_is_expected_is_the_wrong_tier() -> None:
    run = failures.run_failure(short("outputs_empty", tier="ticket", clear=False), SEED, SETTINGS)
    assert not run.found or run.ticket_first


def test_the_floor_is_what_evidence_and_panes_need() -> None:
    baseline = baseline_of(Normal(SEED), SETTINGS)
    times_ms = 1_000_000_000_000 + np.arange(20_000) * 20
    floor = floor_of(baseline, SETTINGS, {"refused": np.ones(20_000)}, times_ms, "page")
    assert floor.panes == 151
    assert floor.records == floor.panes
    rare = (np.random.default_rng(1).random(20_000) < 0.1).astype(float)
    edge = max(0.015, 1.5 * 0.0095)
    divergence = 0.1 * np.log(0.1 / edge) + 0.9 * np.log(0.9 / (1 - edge))
    found = floor_of(baseline, SETTINGS, {"refused": rare}, times_ms, "page").evidence
    assert found == pytest.approx(26.0 / divergence, rel=0.25)


def test_a_clear_step_of_labels_is_held_against_the_panes_it_needs() -> None:
    baseline = baseline_of(Normal(SEED), SETTINGS)
    times_ms = 1_000_000_000_000 + np.arange(1000) * 20
    assert floor_of(baseline, SETTINGS, {}, times_ms, "page").records == 151
    run = failures.run_failure(short("outputs_identical"), SEED, SETTINGS)
    assert run.found
    assert run.floor_records is not None


def test_messages_are_made_until_a_minute_after_what_was_found_and_the_truth_to_the_end() -> None:
    scenario = short("outputs_empty", after_s=400.0)
    parts = list(stream(scenario, SEED))
    played = play(baseline_of(Normal(SEED), SETTINGS), parts, SETTINGS, found=lambda drift: drift.tier == "page")
    made = ["lines" in vars(part) for part in parts]
    assert made == sorted(made, reverse=True)
    assert 0 < sum(made) < len(made)
    assert played.columns is not None
    assert len(played.columns.times_ms) == sum(len(part.columns.times_ms) for part in parts)


# the processes


def test_the_parts_of_a_suite_give_the_same_whatever_ran_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"failure": [short("outputs_empty"), short("errors_up")], "harmless": [short("absurd_value")]}
    monkeypatch.setattr("load.score.run_suites.scenarios", few.__getitem__)
    plan, told = Plan(("failures", "harmless"), SEED, DATA, size=0.01), []
    done = suites.run(plan, SETTINGS, lambda count, total: told.append((count, total)))
    assert told == [(0, 4), (4, 4)], "they share a baseline, so one process plays them"
    assert done.of("failures", "errors_up") == [failures.run_failure(short("errors_up"), SEED, SETTINGS)]
    assert [each.scenario for each in done.of("failures")] == ["outputs_empty", "errors_up"]
    assert set(done.processor_s) == {"failures", "harmless", "provokes"}
    assert min(done.processor_s.values()) > 0


# severity


@pytest.mark.parametrize("case", severity.cases(), ids=lambda case: case.says[:60])
def test_a_severity_case_is_decided_as_a_person_does_and_names_its_rule(case: severity.Case) -> None:
    (judged,) = severity.judge([case])
    assert (judged.severity, bool(judged.rule)) == (case.severity, True)


def test_a_case_that_is_decided_otherwise_and_too_few_cases_are_problems() -> None:
    wrong = severity.cases()[0].model_copy(update={"severity": "P4"})
    found = severity.problems(severity.judge([wrong]))
    assert "P1 by safety_failure, and it is a P4" in found[0]
    assert "only 1 severity cases" in found[1]


def test_what_is_no_case_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "cases.toml"
    file.write_text('[[case]]\nsays = "nothing"\nseverity = "P9"\ndrifts = []\n')
    with pytest.raises(LoadError, match=r"cases\.toml has an invalid case: severity: .*; drifts: "):
        severity.cases(file)


# the quiet world, and peers


def test_a_quiet_service_is_silent_and_its_peers_are_not() -> None:
    said = listen(Quiet(SEED, 50.0, 24_000), SETTINGS)
    assert not said.incidents
    assert said.signal_records > 24_000 * 25
    assert said.rivers["river_adwin"] > 0
    found = json.loads(json.dumps(null_report([said])))
    assert found["river_adwin_per_10m"] > 200
    assert found["page_false_incidents"] == 0
    assert found["exceedance"]["8"]["measured"] <= found["exceedance"]["8"]["bound"]


def test_a_false_page_is_counted_and_named_as_a_problem() -> None:
    said = listen(Quiet(SEED, 50.0, 2400), SETTINGS)
    said.incidents["page"] += 1
    told = report(Plan(("null",), SEED, DATA), SETTINGS, Done({("null", "50/s", SEED): said}, {"null": 1.0}, 1.0))
    assert told["page_false_incidents"] == 1
    assert any("1 false pages" in problem for problem in told["problems"])
    assert told["seeds_are_for"] == "tuning"


def test_alarms_of_peers_are_counted_before_and_after_a_row() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(size=3000), np.random.default_rng(3).normal(5, 1, 3000)])
    for each in alarms(values):
        assert each.after(3000) is not None
        assert each.before(3000) <= 3


def test_alarms_close_to_the_one_before_are_one_incident_however_long_they_go_on() -> None:
    assert merged([10, 900, 1800, 2700, 3700], 1000) == 2
    assert merged([10], 1000) == 1
    assert merged([], 1000) == 0


def test_both_ways_to_count_incidents_are_in_the_report() -> None:
    found = null_report([listen(Quiet(SEED, 50.0, 24_000), SETTINGS)])
    hourly = found["merged_within_an_hour"]
    assert hourly["page_false_incidents"] == 0
    raw = found["river_alarms"]["river_adwin"] * 1e7 / found["signal_records"]
    assert 0 < hourly["river_adwin_per_10m"] < raw


def test_three_sigma_fires_on_a_minute_that_is_off() -> None:
    times_ms = np.arange(600) * 1000
    values = np.zeros(600)
    values[300:360] = 1.0
    assert three_sigma(values + np.arange(600) % 2 * 0.01, times_ms, 0.005, 0.05) == [300_000]


# the harmless, and real streams


@pytest.mark.parametrize("name", ["retry_storm", "absurd_value", "duplicates"])
def test_a_harmless_event_pages_nobody(name: str) -> None:
    run = harmless.run_harmless(short(name), SEED, SETTINGS)
    assert run.pages == ()


@pytest.mark.parametrize(
    ("name", "rule"),
    [("absurd_value", ("three_sigma",)), ("duplicates", ("three_sigma",)), ("harmless_deploy", ()), ("clock_skew", ())],
)
def test_a_rule_is_provoked_if_it_fires_for_what_happens_and_not_without_it(name: str, rule: tuple[str, ...]) -> None:
    scenario = short(name)
    baseline = baseline_of(normal_of(scenario, SEED), SETTINGS)
    assert provoked(scenario, SEED, baseline) == ("always_fire", *rule)


def test_where_all_that_happens_is_the_hour_it_is_another_hour_without() -> None:
    assert (without_event(named("night")).hour, without_event(named("weekend")).day) == (9.0, 1)
    assert without_event(named("retry_storm")).hour == named("retry_storm").hour


def test_a_failure_called_harmless_is_counted_as_pages() -> None:
    failing = short("absurd_value", touch=named("outputs_empty").touch)
    run = harmless.run_harmless(failing, SEED, SETTINGS)
    assert run.pages
    assert harmless.summary(failing, [run], [])["pages"] == len(run.pages)


def test_a_record_from_the_year_2200_changes_nothing() -> None:
    assert harmless.changes_nothing(short("year_2200"), SEED, SETTINGS)


def test_duplicates_are_known_as_such() -> None:
    played = play_scenario(short("duplicates"), SEED, SETTINGS)
    assert played.counts["duplicates"] > 300
    assert played.counts["dead_letters"] == 0


@pytest.mark.parametrize("row", ROWS[:3], ids=lambda row: row.name)
def test_a_real_stream_is_found_as_expected(row: object) -> None:
    if not DATA.exists():
        pytest.skip("the real streams are not there")
    found = run_real(row, DATA, SETTINGS)  # type: ignore[arg-type]
    assert found["problems"] == []
    assert found["ready_at"].startswith("2023-06-12T00:30")


def test_a_real_stream_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "is not there" in run_real(ROWS[0], tmp_path, SETTINGS)["skipped"]


def test_a_stream_of_which_nothing_was_ready_fails(tmp_path: Path) -> None:
    path = tmp_path / ROWS[3].file
    path.parent.mkdir()
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n")
    assert run_real(ROWS[3], tmp_path, SETTINGS)["problems"] == ["nothing was ready: its silence proves nothing"]


# the command


def test_the_command_writes_its_figures_and_says_what_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("load.score.run_suites.ROWS", ROWS[:1])
    file = tmp_path / "score.json"
    arguments = ["--suite", "real", "--seed", "5", "--data", str(tmp_path), "--json", str(file)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    report = json.loads(file.read_text())
    assert report["config_hash"] == SETTINGS.digest()
    assert report["seeds_are_for"] == "tuning"
    assert "is not there" in result.output
