"""After a change of settings, state that fits is kept, other state is reset and named, and no open drift is lost."""

import functools
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline.codec import encode
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.monitor import Monitor
from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import SignalRule
from pipeline.detect.statistics.statistics import Statistics
from pipeline.detect.step import PART_KINDS, DetectStep
from pipeline.detect.stream.stream_state import dump_main_part
from pipeline.state import Part
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, message, outcome, record

pytestmark = pytest.mark.slow

BEFORE = DetectSettings(duplicate_window=512)
STEP_MS = 20

CHANGED = {
    "ready_after_s": 3600,
    "relearn_after_s": 600,
    "ready_records": 400,
    "ready_records_rate": 300,
    "slices": 96,
    "false_pages_per_year": 50,
    "false_tickets_per_week": 50,
    "fleet_subjects": 2000,
    "page_rate_odds": 2.5,
    "page_tail_odds": 3.0,
    "page_rank_shift": 0.2,
    "ticket_rate_odds": 2.0,
    "ticket_rank_shift": 0.15,
    "band_odds_max": 30.0,
    "band_rank_max": 0.45,
    "silence_min_s": 900,
    "recovery_evidence": 5.0,
    "evidence_after_s": (5.0, 30.0),
    "signals": (SignalRule(signal="latency_ms", at_most="ticket"),),
    "segments": ("model", "tenant"),
    "segment_values_max": 2,
    "segment_settle_records": 50,
    "adwin_delta": 1e-3,
    "adwin_records": 80,
    "block_records": 64,
    "flush_records": 16,
    "flush_after_s": 1,
    "subjects_max": 2,
    "custom_signals_max": 2,
    "categories_max": 8,
    "versions_max": 8,
    "duplicate_window": 64,
    "outcome_window": 64,
    "record_bytes_max": 4096,
    "late_max_s": 60.0,
    "early_max_s": 5,
    "time_jump_max_s": 600,
    "time_jump_records": 5,
    "time_zone": "UTC",
}
"""Another value for each setting."""

FIELDS = pytest.mark.parametrize("field", list(DetectSettings.model_fields))


def test_every_setting_is_tried():
    assert CHANGED.keys() == DetectSettings.model_fields.keys()
    assert all(getattr(BEFORE, field) != value for field, value in CHANGED.items())


def changed_settings(field):
    return BEFORE.model_copy(update={field: CHANGED[field]})


def messages_of(count, *, first=0, subject="bot", seed=1, failing=False):
    """Records of a subject. During the failure, its new prompt version refuses half of the requests and is slow."""
    rng = random.Random(f"{seed}/{subject}/{first}")
    values = []
    for number in range(first, first + count):
        fields = record(rng, number, START_MS + number * STEP_MS, subject)
        is_new = rng.random() < 0.5
        fields["versions"] = {"prompt": "v2" if is_new else "v1"}
        fields["segment"] = {"tenant": rng.choice(["acme", "bolt", "crane"])}
        if failing and is_new:
            fields["output"]["refused"] = rng.random() < 0.5
            fields["infrastructure"]["latency_ms"] *= 4
        if number % 50 == 49:
            fields = outcome(subject, number - 1, START_MS + number * STEP_MS)
        values.append(message(number, as_json(fields), START_MS + number * STEP_MS))
    return values


@functools.cache
def baseline_message():
    """The baseline of the subject, which was learned in 80 s of records."""
    step = DetectStep(0, BEFORE.model_copy(update={"ready_after_s": 80, "ready_records": 1000}), replay=True)
    outputs = step.step(messages_of(4500, seed=2))
    (output,) = [output for output in outputs if output.topic == BASELINES]
    # The next records have the same numbers, and times after the baseline's effective_at.
    baseline = Baseline.from_json(output.value).model_copy(update={"source": "file", "effective_at": None})
    return RawMessage(BASELINES, 0, 0, START_MS, output.key, baseline.to_json())


def new_step(settings):
    step = DetectStep(0, settings, replay=True)
    step.control(baseline_message())
    return step


def run(settings, *, failing=False):
    """A step that monitors one subject, learns another, and has buffered records of both, with its outputs."""
    step = new_step(settings)
    outputs = step.step(messages_of(2500))
    outputs += step.step(messages_of(1500, first=2500, failing=failing))
    outputs += step.step(messages_of(1510, subject="search"))
    return step, outputs


@functools.cache
def state_before():
    """The checkpoint under the settings before the change, and the outputs."""
    checkpoint = Checkpoint()
    step, outputs = run(BEFORE, failing=True)
    checkpoint.take(step)
    return dict(checkpoint.parts), outputs


def restore(parts, settings):
    checkpoint, step = Checkpoint(), new_step(settings)
    checkpoint.parts = dict(parts)
    lines = list(step.restore(parts.items()))
    return step, lines, checkpoint


def kinds_in(parts):
    return {Part.from_key(key)[0].kind for key in parts}


def test_the_checkpoint_contains_every_kind_but_the_rarest():
    assert kinds_in(state_before()[0]) == {kind.name for kind in PART_KINDS} - {"held", "relearner"}


@FIELDS
def test_exactly_the_kinds_that_depend_on_a_setting_are_reset(field):
    parts, _ = state_before()
    step, lines, checkpoint = restore(parts, changed_settings(field))
    dependent = {kind.name for kind in PART_KINDS if field in kind.settings} & kinds_in(parts)
    checkpoint.take(step)
    assert kinds_in(checkpoint.parts) == kinds_in(parts) - dependent
    assert {line.partition(":")[0] for line in lines} - {"kept"} == dependent
    for line in lines:
        if line.startswith(tuple(dependent)):
            assert f"because {field} was " in line
    assert set(step.streams) == {"bot", "search"}


def contents(step):
    """The content of each kind that a restore can keep, by subject and kind."""
    state = {}
    for subject, stream in step.streams.items():
        learner = stream.learner
        state |= {
            (subject, "stream"): dump_main_part(stream) | {"columns": stream.columns.dump()},
            (subject, "rows"): stream.buffer.records.dump(),
            (subject, "duplicates"): list(stream.duplicates._window.chunks),
            (subject, "outcomes"): [chunk.dump() for chunk in stream.outcome_labels._window.chunks],
            (subject, "statistics"): stream.statistics.dump(),
            **{(subject, kind): part for kind, part in (stream.monitor.dump() if stream.monitor else {}).items()},
            (subject, "learner"): learner and [learner._dump_head(), sorted(learner._totals.items())],
        }
    return {key: encode({"content": content}, kind="x") for key, content in state.items()}


ADAPTED = {("stream", "categories_max"), ("monitor", "segments"), ("monitor", "signals")}
"""Kinds that adapt to a setting: the limit on labels, the monitored dimensions, and the drifts of excluded tests."""


@FIELDS
def test_what_is_kept_is_what_was_written(field):
    before, after = (
        contents(restore(state_before()[0], settings)[0]) for settings in (BEFORE, changed_settings(field))
    )
    dependent = {kind.name for kind in PART_KINDS if field in kind.settings}
    different = {kind for subject, kind in before if before[subject, kind] != after[subject, kind]}
    assert different - {kind for kind, name in ADAPTED if name == field} == dependent & kinds_in(state_before()[0])


def test_under_the_same_settings_all_is_kept_and_no_line_is_written():
    step, lines, checkpoint = restore(state_before()[0], BEFORE)
    assert lines == []
    assert contents(step) == contents(run(BEFORE, failing=True)[0])
    checkpoint.take(step)
    assert checkpoint.parts == state_before()[0]


BLOCKS = {"block_records", "flush_records", "flush_after_s"}
"""The settings of blocks. Evidence computed from other blocks is equally valid but not identical."""

HISTORY = {
    "evidence_after_s": "the times at which evidence is repeated",
    "segment_values_max": "how many values are monitored; monitored values remain monitored",
    "segment_settle_records": "when a value settles; settled values remain settled",
}
"""Settings that the monitor reads and that apply after the restart, with their effects."""


@functools.cache
def evidence_of(field):
    """The parts that depend on settings, after ordinary records with one setting changed from the start."""
    step, _ = run(BEFORE if field is None else changed_settings(field))
    for stream in step.streams.values():
        stream.flush()
    checkpoint = Checkpoint()
    checkpoint.take(step)
    names = {kind.name for kind in PART_KINDS if kind.settings}
    states = {}
    for key, value in checkpoint.parts.items():
        part, _ = Part.from_key(key)
        if part.kind in names:
            states[str(part)] = value.partition(b'"state":')[2]
    return states


@pytest.mark.parametrize("field", sorted(DetectSettings.model_fields.keys() - BLOCKS - {"segment_values_max"}))
def test_a_kind_that_does_not_depend_on_a_setting_has_the_same_state_under_both_values(field):
    dependent = {kind.name for kind in PART_KINDS if field in kind.settings}
    before, after = evidence_of(None), evidence_of(field)
    assert before.keys() == after.keys() or dependent
    different = {Part.from_key(key.encode())[0].kind for key in before if before[key] != after.get(key)}
    assert different <= dependent


class RecordingSettings(DetectSettings):
    """Settings that determine the names of the recorded fields."""

    def __getattribute__(self, name):
        if name in DetectSettings.model_fields:
            READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()


def settings_read_by(work):
    READ.clear()
    work(RecordingSettings(**BEFORE.model_dump()))
    return set(READ)


def blocks():
    """The blocks of a stream that fails."""
    step, seen = DetectStep(0, BEFORE, replay=True), []
    step.step(messages_of(10))
    step.streams["bot"].statistics.observe = seen.append
    step.step(messages_of(3000, first=10, failing=True))
    return seen


def test_the_monitor_reads_no_setting_that_is_not_declared():
    baseline = Baseline.from_json(baseline_message().value)

    def work(settings):
        monitor = Monitor(baseline, settings)
        findings = [finding for block in blocks() for finding in monitor.observe(block)]
        assert findings
        Monitor(baseline, settings).load(monitor.dump())

    declared = {*Monitor.EVIDENCE_SETTINGS, *Monitor.ADWIN_SETTINGS}
    assert settings_read_by(work) == declared | HISTORY.keys()


@pytest.mark.parametrize(("stateful", "later"), [(Statistics, set()), (Learner, {"ready_after_s"})])
def test_a_learner_and_statistics_read_no_setting_that_is_not_declared(stateful, later):
    def work(settings):
        observer = stateful(settings) if stateful is Statistics else stateful("bot", settings)
        for block in blocks():
            observer.observe(block)
            if later:
                observer.is_ready()

    assert settings_read_by(work) == {*stateful.SETTINGS} | later


def drifts_by_id(outputs):
    drifts = {}
    for drift in read_drifts(outputs):
        drifts.setdefault(drift.drift_id, []).append(drift)
    return drifts


def key_of(drift):
    return drift.signal, drift.channel, drift.side, drift.tier, drift.segment


@FIELDS
def test_an_open_drift_is_not_told_twice_and_ends_once(field):
    parts, outputs = state_before()
    open_before = {
        drift_id: drifts[-1]
        for drift_id, drifts in drifts_by_id(outputs).items()
        if drifts[-1].state != "recovered" and drifts[-1].signal != "unusable_field"
    }
    assert {drift.segment for drift in open_before.values()} >= {"", "prompt=v2"}
    step, _, _ = restore(parts, changed_settings(field))
    later = step.step(messages_of(1500, first=4000, failing=True))
    keys = {key_of(drift) for drift in open_before.values() if drift.detector != "first_seen"}
    fired = Counter(key_of(drift) for drift in read_drifts(later) if drift.state == "firing")
    assert not keys & fired.keys()
    later += step.step(messages_of(6000, first=5500))
    states = {drift_id: [drift.state for drift in drifts] for drift_id, drifts in drifts_by_id(later).items()}
    for drift_id, drift in open_before.items():
        if drift.detector == "first_seen":
            assert "recovered" not in states.get(drift_id, [])
        else:
            assert states[drift_id].count("recovered") == 1, drift
            assert states[drift_id].count("firing") == 0


def sentences_of_ends(field, value):
    step, _, checkpoint = restore(state_before()[0], BEFORE.model_copy(update={field: value}))
    # The end is also published after another restart, because it was not published before.
    checkpoint.take(step)
    step, _, _ = restore(checkpoint.parts, BEFORE.model_copy(update={field: value}))
    ends = read_drifts(step.step(messages_of(200, first=4000, failing=True)))
    return {(drift.segment, drift.sentence) for drift in ends if drift.state == "recovered"}


def test_a_drift_of_a_dimension_that_is_no_longer_monitored_ends_with_its_reason():
    ended = sentences_of_ends("segments", ("tenant",))
    assert ended
    assert {segment for segment, _ in ended} == {"prompt=v2"}
    assert all("its test no longer runs with the current settings" in sentence for _, sentence in ended)


def test_a_drift_of_a_test_that_no_longer_runs_ends_with_its_reason():
    ended = sentences_of_ends("band_rank_max", 0.001)
    assert {segment for segment, _ in ended} == {"", "prompt=v2"}
    assert all("its test no longer runs with the current settings" in sentence for _, sentence in ended)


def test_a_smaller_block_size_than_the_buffer_ends_the_block_with_the_next_record():
    settings = BEFORE.model_copy(update={"block_records": 512, "flush_records": 8192, "flush_after_s": 600})
    step, checkpoint = new_step(settings), Checkpoint()
    step.step(messages_of(300))
    checkpoint.take(step)
    assert len(step.streams["bot"].buffer) == 300
    after, _, _ = restore(checkpoint.parts, settings.model_copy(update={"block_records": 64}))
    after.step(messages_of(1, first=300))
    assert len(after.streams["bot"].buffer) == 1
    after.step(messages_of(700, first=301))
    assert after.counts()["used"] == 1001


def test_labels_beyond_a_lower_limit_count_as_too_many_and_settle_again_under_a_higher_limit():
    values = [
        message(number, as_json({**fields, "output": {"finish_reason": f"reason-{number % 12}"}}))
        for number, fields in enumerate(
            record(random.Random(number), number, START_MS + number * STEP_MS) for number in range(400)
        )
    ]
    step, checkpoint = DetectStep(0, BEFORE, replay=True), Checkpoint()
    step.step(values)
    checkpoint.take(step)
    for limit, has_too_many in ((8, True), (64, False)):
        step = DetectStep(0, BEFORE.model_copy(update={"categories_max": limit}), replay=True)
        list(step.restore(checkpoint.parts.items()))
        category = step.streams["bot"].derived._categories["finish_reason"]
        assert category._has_too_many == has_too_many
        step.streams["bot"].changed = True
        checkpoint.take(step)
    assert category._usual is None


def test_the_document_lists_the_settings_of_each_kind():
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    table = text.partition("| part of detect's state |")[2].partition("\n\n")[0]
    documented = {}
    for row in table.splitlines()[2:]:
        names, _, settings = (re.findall(r"`([a-z_]+)`", cell) for cell in row.strip("|").split("|"))
        documented |= dict.fromkeys(names, tuple(settings))
    assert documented == {kind.name: kind.settings for kind in PART_KINDS}
