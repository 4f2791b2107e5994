"""The assistant: the same seed gives the same records, and it has the traits on which live baselines matter."""

import numpy as np
import orjson
import pytest

from load.score.assistant.assistant_world import Assistant
from load.score.assistant.events import Disturbances, Stage
from load.score.assistant.live_stream import MONDAY_MS, SUBJECT
from load.score.assistant.played_event import PlayedEvent
from load.world import RecordColumns
from schemas.record import Data, Infrastructure, Output, Record, Safety
from schemas.topics import DAY_MS, HOUR_MS

SEED = 31
MIDNIGHT_MS = MONDAY_MS // DAY_MS * DAY_MS
HEALTHY = PlayedEvent("healthy", MIDNIGHT_MS + 30 * DAY_MS)


def draw(start_ms: int, end_ms: int, *stages: Stage, office: bool = False) -> RecordColumns:
    periods = Assistant(SEED, office=office).draw_periods(start_ms, end_ms, stages, start_ms)
    return RecordColumns.concatenate([columns for _, columns in periods])


def test_the_same_seed_gives_the_same_messages_and_another_seed_others() -> None:
    def first_hour(seed: int) -> list[bytes]:
        parts = HEALTHY.generate(Assistant(seed), SUBJECT, MONDAY_MS, MONDAY_MS + HOUR_MS)
        return [line for lines in parts for line in lines]

    assert first_hour(SEED) == first_hour(SEED)
    assert first_hour(SEED)[:50] != first_hour(SEED + 1)[:50]


def test_every_record_fits_the_contract_and_has_its_own_id() -> None:
    lines = HEALTHY.generate(Assistant(SEED), SUBJECT, MONDAY_MS, MONDAY_MS + 2 * HOUR_MS)
    records = [Record.from_json(line) for part in lines for line in part]
    assert len({record.request_id for record in records}) == len(records)
    assert {record.subject for record in records} == {SUBJECT}
    # Readers ignore unknown fields, so the names are compared with the contract.
    sent = orjson.loads(next(HEALTHY.generate(Assistant(SEED), SUBJECT, MONDAY_MS, MONDAY_MS + HOUR_MS))[1])
    assert set(sent) <= set(Record.model_fields)
    for name, section in (("infrastructure", Infrastructure), ("output", Output), ("data", Data), ("safety", Safety)):
        assert set(sent[name]) <= set(section.model_fields)


def test_a_weekday_has_the_asked_rate_and_a_weekend_fewer_requests_of_other_tenants() -> None:
    tuesday = draw(MIDNIGHT_MS + DAY_MS, MIDNIGHT_MS + 2 * DAY_MS)
    saturday = draw(MIDNIGHT_MS + 5 * DAY_MS, MIDNIGHT_MS + 6 * DAY_MS)
    assert tuesday.times_ms.size / 86_400 == pytest.approx(2.1, rel=0.1)
    assert saturday.times_ms.size < 0.75 * tuesday.times_ms.size
    shares = [columns.labels["tenant"].count("northbank") / columns.times_ms.size for columns in (tuesday, saturday)]
    assert shares[1] < 0.3 * shares[0]


def test_a_fifth_of_the_answers_comes_from_the_cache_in_about_eight_milliseconds() -> None:
    columns = draw(MONDAY_MS, MONDAY_MS + 4 * HOUR_MS)
    cached = columns.values["cached"] > 0
    assert cached.mean() == pytest.approx(0.18, abs=0.02)
    assert np.median(columns.values["latency_ms"][cached]) == pytest.approx(8, abs=1)
    assert np.median(columns.values["latency_ms"][~cached]) == pytest.approx(2500, rel=0.25)
    assert np.isfinite(columns.values["output_tokens"][cached]).all()
    assert set(columns.values["cost"][cached]) == {0.0}


def test_the_index_age_grows_to_a_day_and_falls_every_night() -> None:
    age_h = draw(MIDNIGHT_MS + DAY_MS, MIDNIGHT_MS + 4 * DAY_MS).values["index_age_s"] / 3600
    assert (np.diff(age_h) < -20).sum() == 3
    assert 23.8 < age_h.max() < 24.2


def test_a_late_rebuild_and_stale_servers_change_only_later_rebuilds() -> None:
    start_ms = MIDNIGHT_MS + DAY_MS
    end_ms = start_ms + 4 * HOUR_MS
    healthy, late, stale = (
        draw(start_ms, end_ms, stage).values["index_age_s"] / 3600
        for stage in (Stage(), Stage(rebuild_late_h=1.0), Stage(stale_share=0.25))
    )
    assert healthy.max() == pytest.approx(24, abs=0.2)
    assert late.max() == pytest.approx(25, abs=0.2)
    assert (stale > 24.2).mean() == pytest.approx(0.25 * 1.8 / 4, rel=0.5)
    assert stale[0] == healthy[0]


def test_jobs_come_in_bursts_and_batches_at_night() -> None:
    columns = draw(MIDNIGHT_MS + DAY_MS, MIDNIGHT_MS + DAY_MS + 8 * HOUR_MS)
    tenants = np.array(columns.labels["tenant"])
    jobs_ms = columns.times_ms[tenants == "jobs"] % HOUR_MS
    batch_h = columns.times_ms[tenants == "batch"] % DAY_MS / HOUR_MS
    assert jobs_ms.max() <= 20_000
    assert 0.5 <= batch_h.min() <= batch_h.max() <= 1.75


def test_feedback_and_evaluations_are_sparse_and_values_are_whole_or_zero() -> None:
    values = draw(MONDAY_MS, MONDAY_MS + 6 * HOUR_MS).values
    for name in ("thumbs_down", "hallucinated"):
        assert np.isfinite(values[name]).mean() == pytest.approx(0.03, abs=0.01)
    assert (values["null_fraction"] == 0).mean() == pytest.approx(0.8, abs=0.03)
    assert (values["retries"] == 0).mean() > 0.9
    assert np.nanstd(values["confidence"]) == pytest.approx(0.1, abs=0.01)


def test_nobody_uses_the_office_at_night_and_at_weekends() -> None:
    week = draw(MIDNIGHT_MS, MIDNIGHT_MS + 7 * DAY_MS, office=True)
    hours, days = week.times_ms % DAY_MS / HOUR_MS, (week.times_ms - MIDNIGHT_MS) // DAY_MS
    assert 8.0 <= hours.min() <= hours.max() <= 18.0
    assert set(days.tolist()) == {0, 1, 2, 3, 4}


def test_an_event_without_effect_changes_no_record_before_it_and_no_level_after_it() -> None:
    event = PlayedEvent("nothing", MONDAY_MS + 3 * HOUR_MS, messages=Disturbances(twice=0.0))
    before = [
        next(iter(played.generate(Assistant(SEED), SUBJECT, MONDAY_MS, MONDAY_MS + HOUR_MS)))
        for played in (HEALTHY, event)
    ]
    assert before[0] == before[1]
