"""A checkpoint from an earlier version is read part by part. Unreadable parts are reset, with one line per kind."""

import random
from pathlib import Path

import orjson

from pipeline.detect.baselines import baseline_version
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, message, record
from tests.pipeline.detect.test_settings_change import kinds_in

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
FORMAT_1 = orjson.loads(Path(__file__).with_name("state_of_format_1.json").read_bytes())
"""A checkpoint of the last version with format 1: a monitored subject, and a subject that is being learned. Contents
that later versions do not read are shortened."""


def restored():
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    step.control(RawMessage(BASELINES, 0, 0, START_MS, b"k", orjson.dumps(FORMAT_1["baseline"])))
    checkpoint.parts = {key.encode(): orjson.dumps(part) for key, part in FORMAT_1["parts"].items()}
    return step, checkpoint, list(step.restore(checkpoint.parts.items()))


def test_the_parts_of_format_1_whose_content_has_not_changed_are_kept():
    step, checkpoint, lines = restored()
    not_recorded = "because the version that wrote it did not record its settings"
    assert lines == [
        "duplicates: reset for 2 subjects, because it has format 1, but this version reads it from format 2",
        f"learner: reset for 1 subject, {not_recorded}",
        "monitor: reset for 1 subject, because it has format 1, but this version reads it from format 2",
        f"statistics: reset for 2 subjects, {not_recorded}",
        "kept: partition, rows, stream",
    ]
    bot, search = step.streams["bot"], step.streams["search"]
    assert bot.baseline_version == FORMAT_1["baseline"]["baseline_version"]
    assert (bot.counts["used"], search.counts["used"]) == (2010, 205)
    assert (len(bot.buffer), len(search.buffer)) == (10, 45)
    checkpoint.take(step)
    assert kinds_in(checkpoint.parts) == {"partition", "rows", "stream"}


def test_the_version_of_an_older_baseline_is_still_the_hash_of_its_content():
    baseline = Baseline.from_json(orjson.dumps(FORMAT_1["baseline"]))
    assert baseline_version(baseline) == baseline.baseline_version
    assert baseline_version(baseline.model_copy(update={"sampled": "tail"})) != baseline.baseline_version


def test_a_step_continues_from_format_1_and_writes_the_current_format():
    step, checkpoint, _ = restored()
    rng = random.Random(2)
    times = [START_MS + 120_000 + number * 50 for number in range(600)]
    step.step([message(3000 + n, as_json(record(rng, 3000 + n, time)), time) for n, time in enumerate(times)])
    assert step.counts()["used"] == 2010 + 205 + 600
    checkpoint.take(step)
    again = DetectStep(0, SETTINGS, replay=True)
    again.control(RawMessage(BASELINES, 0, 0, START_MS, b"k", orjson.dumps(FORMAT_1["baseline"])))
    assert list(again.restore(checkpoint.parts.items())) == []
    assert {"monitor", "evidence", "adwin"} <= kinds_in(checkpoint.parts)
