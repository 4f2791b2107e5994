"""A flood: a message looks only at the incidents that it can change, and the limit drops the same as ever."""

import pytest

from load.bench.flood import DriftFlood
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep


def reads(monkeypatch, step, messages):
    """The number of times that the drifts of an incident are read while messages pass a step."""
    counted, drifts = [], IncidentState.drifts
    monkeypatch.setattr(IncidentState, "drifts", property(lambda state: counted.append(1) or drifts.fget(state)))
    step.step(messages)
    monkeypatch.undo()
    return len(counted)


@pytest.mark.parametrize("count", [30, 300])
def test_a_flood_reads_as_many_incidents_with_many_open_as_with_few(monkeypatch, count):
    flood, step = DriftFlood(1, subjects=300), CorrelateStep(CorrelateSettings(incidents_max=10_000))
    step.step(list(flood.open_incidents(count)))
    step.step(list(flood.report(1)))
    assert reads(monkeypatch, step, list(flood.report(60))) < 4_000


@pytest.mark.parametrize("seed", range(4))
def test_the_limit_drops_the_incident_with_the_lowest_rank_of_all(seed):
    flood, step = DriftFlood(seed, subjects=30, providers=3), CorrelateStep(CorrelateSettings(incidents_max=20))
    incidents, dropped = step._table.incidents, 0
    first = incidents._eviction.first

    def check():
        nonlocal dropped
        found, dropped = first(), dropped + 1
        assert found is incidents.get(min(map(incidents.merges.eviction_rank, incidents))[2])
        return found

    incidents._eviction.first = check
    step.step([*flood.open_incidents(30), *flood.report(150)])
    assert dropped > 50
