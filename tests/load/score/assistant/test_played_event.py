"""Events: every case of the suite changes what it says, from its time on, and messages arrive in order."""

import numpy as np
import orjson
import pytest

from load.score.assistant.assistant_world import Assistant
from load.score.assistant.events import Change, Disturbances, Stage, Where
from load.score.assistant.live_stream import MONDAY_MS, SUBJECT
from load.score.assistant.played_event import PlayedEvent
from load.score.suites.field_trials import FieldCase, read_field_cases
from schemas.timestamp import parse_timestamp
from schemas.topics import HOUR_MS

SEED = 32
EVENT_MS = MONDAY_MS + HOUR_MS
END_MS = EVENT_MS + HOUR_MS
TIMES = ("nothing_happens", "first_weekend", "office_four_weeks")
"""Cases whose event is a time, in which nothing changes."""


def play(event: PlayedEvent) -> list[bytes]:
    return [line for lines in event.generate(Assistant(SEED), SUBJECT, MONDAY_MS, END_MS) for line in lines]


def play_records(event: PlayedEvent) -> tuple[list[dict], list[dict]]:
    """The requests before and after the event, without probes."""
    records = [record for line in play(event) if "infrastructure" in (record := orjson.loads(line))]
    times_ms = [parse_timestamp(record["timestamp"]) for record in records]
    before = [record for record, time_ms in zip(records, times_ms, strict=True) if time_ms < EVENT_MS]
    return before, records[len(before) :]


def mean(records: list[dict], section: str, name: str) -> float:
    return float(np.mean([value for record in records if (value := record[section][name]) is not None]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in read_field_cases() if case.name not in TIMES], ids=lambda case: case.name
)
def test_a_case_changes_the_messages_after_its_event_only(case: FieldCase) -> None:
    source, event_ms = case.source(SEED), case.event_ms(SEED)
    # At night there are few requests, and a rebuild, a batch or the first tenants may be hours away.
    after_ms = 5 * HOUR_MS if case.hour is not None and case.hour < 3 else HOUR_MS
    healthy = PlayedEvent(case.name, event_ms)
    lines = [
        [
            line
            for part in event.generate(source.assistant, SUBJECT, event_ms - HOUR_MS // 6, event_ms + after_ms)
            for line in part
        ]
        for event in (healthy, case.event(SEED))
    ]
    count = sum(parse_timestamp(orjson.loads(line)["timestamp"]) < event_ms for line in lines[0])
    assert count > 0
    assert lines[0][: count - 1] == lines[1][: count - 1]
    assert lines[0] != lines[1]


def test_changes_affect_the_selected_records_with_their_strength() -> None:
    change = Change(signal="confidence", how="offset", amount=-0.3, ramp_min=30.0)
    event = PlayedEvent(
        "sink", EVENT_MS, where=Where(tenant="northbank", versions={"prompt": "p-13"}), changes=(change,)
    )
    before, after = play_records(event)
    theirs = [record for record in after if record["segment"]["tenant"] == "northbank"]
    others = [record for record in after if record["segment"]["tenant"] != "northbank"]
    assert mean(before, "output", "confidence") == pytest.approx(0.725, abs=0.02)
    assert mean(theirs[-len(theirs) // 3 :], "output", "confidence") == pytest.approx(0.43, abs=0.03)
    assert mean(others, "output", "confidence") == pytest.approx(0.72, abs=0.03)
    assert {record["versions"]["prompt"] for record in theirs} == {"p-13"}
    assert {record["versions"]["prompt"] for record in others} == {"p-12"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(signal="refused", how="probability", amount=0.5), 0.5),
        (Change(signal="refused", how="constant", amount=1.0), 1.0),
        (Change(signal="refused", how="constant", amount=1.0, for_min=30.0), 0.5),
        (Change(signal="refused", how="constant", amount=1.0, share=0.25), 0.25),
    ],
)
def test_a_rate_has_the_share_of_the_change(change: Change, expected: float) -> None:
    _, after = play_records(PlayedEvent("refuse", EVENT_MS, changes=(change,)))
    assert mean(after, "output", "refused") == pytest.approx(expected, abs=0.04)


def test_values_are_cut_and_split_and_removed() -> None:
    changes = (
        Change(signal="latency_ms", how="cap", amount=1000.0),
        Change(signal="confidence", how="spread", amount=0.2),
        Change(signal="similarity", how="absent"),
        Change(signal="queue_depth", how="per_hour", amount=100.0),
        Change(signal="finish_reason", how="label", label="length"),
    )
    before, after = play_records(PlayedEvent("many", EVENT_MS, changes=changes))
    assert max(record["infrastructure"]["latency_ms"] for record in after) == 1000
    spreads = [np.std([record["output"]["confidence"] or 0.7 for record in part]) for part in (before, after)]
    assert spreads[1] > 1.5 * spreads[0]
    assert {record["output"]["similarity"] for record in after} == {None}
    assert mean(after, "infrastructure", "queue_depth") > 40
    assert {record["output"]["finish_reason"] for record in after} == {"length"}


def test_stages_change_the_traffic_and_the_cache_while_they_last() -> None:
    stages = (Stage(traffic=0.2, cron=0.2, for_min=30.0), Stage(after_min=30.0, cache=0.9))
    before, after = play_records(PlayedEvent("stages", EVENT_MS, stages=stages))
    half_ms = EVENT_MS + HOUR_MS // 2
    first = [record for record in after if parse_timestamp(record["timestamp"]) < half_ms]
    assert len(first) < 0.15 * len(before)
    assert np.mean([record["infrastructure"]["latency_ms"] < 30 for record in after[len(first) :]]) > 0.8


def test_disturbed_messages_are_late_doubled_broken_and_text() -> None:
    lines = play(PlayedEvent("late", EVENT_MS, messages=Disturbances(late_share=0.5, late_s=90.0)))
    times_ms = np.array([parse_timestamp(orjson.loads(line)["timestamp"]) for line in lines])
    lateness_ms = np.maximum.accumulate(times_ms) - times_ms
    assert lateness_ms[times_ms < EVENT_MS].max() == 0
    assert 60_000 < lateness_ms.max() < 95_000
    assert len(lines) == len(play(PlayedEvent("late", EVENT_MS)))
    twice = play(PlayedEvent("twice", EVENT_MS, messages=Disturbances(twice=0.5)))
    assert len(twice) - len(set(twice)) == pytest.approx(0.25 * len(twice), rel=0.4)
    broken = play(PlayedEvent("broken", EVENT_MS, messages=Disturbances(broken=1.0, for_min=30.0)))
    assert 0.2 < np.mean([not line.endswith(b"}") for line in broken]) < 0.7
    _, after = play_records(PlayedEvent("text", EVENT_MS, messages=Disturbances(text=1.0)))
    assert {type(record["infrastructure"]["latency_ms"]) for record in after} == {str}


def test_probes_are_blocked_until_moderation_is_off_and_stop_with_the_service() -> None:
    def probes(messages: Disturbances) -> list[bool]:
        lines = play(PlayedEvent("probes", EVENT_MS, messages=messages))
        return [orjson.loads(line)["safety"]["probe_blocked"] for line in lines if b"probe_blocked" in line]

    assert probes(Disturbances()) == [True] * 60
    assert probes(Disturbances(open_probes=True)) == [True] * 30 + [False] * 30
    assert probes(Disturbances(without_probes=True, for_min=30.0)) == [True] * 45


def test_embeddings_of_another_model_differ_in_direction_or_length() -> None:
    def embeddings(messages: Disturbances) -> list[list[float]]:
        _, after = play_records(PlayedEvent("embed", EVENT_MS, messages=messages))
        return [embedding for record in after if (embedding := record["data"]["embedding"]) is not None]

    usual, other = (np.mean(embeddings(Disturbances(other_embedding=changed)), axis=0) for changed in (False, True))
    cosine = float(usual @ other / np.linalg.norm(usual) / np.linalg.norm(other))
    assert cosine < 0.7
    assert {len(embedding) for embedding in embeddings(Disturbances(long_embedding=True))} == {32}


def test_inserted_records_arrive_at_the_event() -> None:
    lines = play(PlayedEvent("storm", EVENT_MS, messages=Disturbances(storm=60, evaluations=300, absurd=True)))
    assert sum(b'"storm-' in line for line in lines) == 60
    assert sum(b'"evaluated-' in line for line in lines) == 300
    assert sum(b'"absurd-' in line for line in lines) == 1
