"""The soak measures its workers, and a resource that grows is a problem."""

import os
from pathlib import Path

import pytest

from load.chaos.soak.resources import RESOURCES, ResourceSamples, _count_open_files, _resident_bytes, growth
from load.chaos.soak.soak_plot import draw_soak
from load.chaos.soak.soak_run import ENDING_A_WORKER, SoakReport, plan_soak, run_soak
from load.chaos.workers import ChaosWorker
from topologies.processes import STEPS

DURATION_S = 400.0


def report_of(last_quarter: dict[str, int] | None = None) -> SoakReport:
    """A report whose resources are 100 throughout, except in the last quarter."""
    samples = ResourceSamples(at_s=[50.0, 150.0, 250.0, 350.0], disk_bytes=[7, 7, 7, 7])
    for resource in RESOURCES:
        for step in STEPS:
            samples.by_step[resource.name][step] = [100, 100, 100, (last_quarter or {}).get(resource.name, 100)]
    return SoakReport(1, DURATION_S, outages=[(140.0, 200.0)], samples=samples)


def test_a_soak_has_a_fault_every_fifteen_seconds_and_two_outages_and_ends_no_worker():
    faults = plan_soak(7, 2400, {"disk_full"})
    assert [fault.at_s for fault in faults] == [15.0 * number for number in range(1, 160)]
    assert [fault.at_s for fault in faults if fault.lasts_s == 60.0] == [900.0, 2100.0]
    assert not {fault.kind for fault in faults} & {*ENDING_A_WORKER, "disk_full"}
    assert len({fault.kind for fault in faults}) >= 10


def test_what_does_not_grow_is_no_problem():
    assert report_of().problems() == []
    assert report_of({"memory_bytes": 105}).problems() == []


@pytest.mark.parametrize("name", [resource.name for resource in RESOURCES])
def test_what_grows_is_a_problem(name):
    (problem,) = report_of({name: 106}).problems()
    assert problem == f"{name} grew to 1.06 times the second quarter"


@pytest.mark.parametrize(
    "change",
    [{"records_unaccounted": 3}, {"outputs_twice": 1}, {"stuck": ["detect"]}, {"ledger_problems": ["torn"]}],
    ids=lambda change: next(iter(change)),
)
def test_what_was_lost_repeated_or_stuck_is_a_problem(change):
    report = report_of()
    for name, value in change.items():
        setattr(report, name, value)
    assert len(report.problems()) == 1


def test_the_report_names_the_quarters_by_step():
    content = report_of({"open_files": 300}).to_json()
    assert content["largest_by_quarter"]["open_files"] == [300, 300, 300, 900]
    assert content["largest_by_quarter_and_step"]["open_files"]["detect"] == [100, 100, 100, 300]
    assert content["growth"] == {"memory_bytes": 1.0, "open_files": 3.0, "checkpoint_bytes": 1.0}
    assert content["problems"] == ["open_files grew to 3.0 times the second quarter"]


@pytest.mark.slow
def test_the_plot_is_a_picture():
    assert draw_soak(report_of()).startswith(b"\x89PNG")


def test_growth_from_nothing_is_growth():
    assert growth([0, 0, 0, 5]) == 5


class ThisProcess(ChaosWorker):
    @property
    def pid(self) -> int:
        return os.getpid()


def test_memory_and_open_files_of_a_process_are_measured(tmp_path: Path):
    worker = ThisProcess("this", "detect", [], tmp_path)
    before = _count_open_files(worker)
    with (tmp_path / "further").open("w"):
        assert _count_open_files(worker) == before + 1
    memory = _resident_bytes(worker)
    block = bytearray(b"x" * (64 * 1024 * 1024))
    assert _resident_bytes(worker) - memory > 0.9 * len(block)


def test_a_worker_that_has_not_started_uses_nothing(tmp_path: Path):
    worker = ChaosWorker("none", "detect", [], tmp_path)
    assert (_resident_bytes(worker), _count_open_files(worker)) == (0, 0)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_short_soak_measures_all_steps_and_loses_nothing(tmp_path: Path):
    report = await run_soak(11, 48.0, folder=tmp_path)
    assert len(report.faults) == 2
    assert (report.records_unaccounted, report.outputs_twice, report.stuck, report.ledger_problems) == (0, 0, [], [])
    for name in ("memory_bytes", "open_files"):
        for step in STEPS:
            assert max(report.samples.by_step[name][step]) > 0, (name, step)
    assert report.checkpoints > 0
    assert max(report.samples.disk_bytes) > 0
