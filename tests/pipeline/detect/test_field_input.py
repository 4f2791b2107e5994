"""Records as real gateways, exporters and libraries write them: unambiguous values are used, and nothing is lost."""

import json
import random
import time
from pathlib import Path

import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from schemas.dead_letter import DeadLetter
from schemas.topics import BASELINES, DEAD_LETTERS
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, message, outcome, record
from tests.pipeline.detect.test_step import BASELINE, drifts_of, published

TIMES = Path(__file__).parents[2] / "schemas" / "field" / "times.ndjson"
SEED = 11
COUNT = 20_000
BATCH = 1000


def good_record(rng, number, **fields):
    """Return a record without bad fields, as a dict."""
    good = {
        "subject": "bot",
        "request_id": f"r-{number}",
        "timestamp": START_MS + number * 50,
        "infrastructure": {"latency_ms": round(rng.lognormvariate(6, 0.4), 1), "error": rng.random() < 0.01},
        "output": {"length": rng.randrange(50, 900), "refused": rng.random() < 0.02, "finish_reason": "stop"},
        "data": {"retrieval_score": round(rng.betavariate(8, 3), 3)},
    }
    return good | fields


def push(objects, settings=None):
    """Push records into a live step as they arrive. Return the step and its outputs."""
    step = DetectStep(0, settings or DetectSettings(), replay=False)
    messages = [message(number, as_json(fields), START_MS + number * 50) for number, fields in enumerate(objects)]
    return step, drive(step, messages, range(0, len(messages), BATCH))


def counts_of(step, *names):
    counts = step.counts()
    assert counts["records"] == sum(counts[name] for name in ("used", "duplicates", "held", "dead_letters"))
    return tuple(counts[name] for name in names)


class TestBadValues:
    @pytest.mark.parametrize("bad", [b"NaN", b"Infinity", b"-Infinity", b"1e999", rb'"\ud800"', b'"caf\xc3"'])
    def test_one_bad_value_in_an_array_of_500_records_costs_only_itself(self, bad):
        rng = random.Random(SEED)
        objects = [good_record(rng, number) for number in range(500)]
        objects[250]["infrastructure"]["latency_ms"] = "BAD"
        step = DetectStep(0, DetectSettings(), replay=False)
        outputs = step.step([message(0, json.dumps(objects).encode().replace(b'"BAD"', bad))])
        assert outputs == []
        assert counts_of(step, "used", "bad_fields", "dead_letters") == (500, 1, 0)
        ((field, _),) = step.streams["bot"].columns.bad_fields
        assert field == "infrastructure.latency_ms"

    def test_a_writer_that_writes_nan_for_every_missing_number_is_used_in_any_batches(self):
        rng = random.Random(SEED)
        objects = [good_record(rng, number) for number in range(300)]
        for fields in objects:
            fields["data"]["index_age_s"] = float("nan")
        messages = [message(number, json.dumps(fields).encode()) for number, fields in enumerate(objects)]
        states = []
        for batch in (1, 300):
            step = DetectStep(0, DetectSettings(), replay=False)
            drive(step, messages, range(0, 300, batch))
            assert counts_of(step, "used", "bad_fields") == (300, 300)
            states.append(step.streams["bot"].columns.dump())
        assert states[0] == states[1]

    def test_json_that_is_broken_is_still_a_dead_letter(self):
        step = DetectStep(0, DetectSettings(), replay=False)
        (output,) = step.step([message(0, b'[{"subject":"bot","output":{"length":NaN}')])
        assert (output.topic, DeadLetter.from_json(output.value).reason) == (DEAD_LETTERS, "not_json")

    @pytest.mark.parametrize(
        "value",
        [
            b"[" * 1_000_000,
            b'{"a":' * 150_000,
            b"[NaN," + b"[" * 500_000 + b"]" * 500_000 + b"]",
            b'{"subject":NaN,"a":"' + b'\\"' * 500_000,
            b'{"subject":NaN,"a":' + b"9" * 1_000_000 + b"}",
            b'{"subject":NaN,"a":0.' + b"0" * 1_000_000 + b"1}",
            b'{"subject":NaN,"a":1e' + b"9" * 1_000_000 + b"}",
            b'{"subject":"bot","timestamp":"' + b"1" * 1_000_000 + b'"}',
            b'{"subject":"bot","timestamp":"2026-11-24T03:12:00.' + b" " * 1_000_000 + b'"}',
            b'{"subject":"bot","timestamp":1795489920000,"output":{"length":"' + b"1" * 1_000_000 + b'"}}',
            b'{"subject":"bot","timestamp":1795489920000,"request_id":"' + b" " * 1_000_000 + b'"}',
            b"[NaN" + b",NaN" * 16_000 + b"]",
            b"[" + b"\xff" * 1_000_000,
            b'{"subject":"bot","timestamp":NaN,"custom":{' + b'"a":1,' * 150_000 + b'"b":"\xff"}}',
            b'{"subject":"bot","x":NaN,' + b",".join(b'"k%d":1' % number for number in range(70_000)) + b"}",
        ],
        ids=range(15),
    )
    def test_a_hostile_message_of_a_megabyte_is_counted_in_linear_time(self, value):
        step = DetectStep(0, DetectSettings(), replay=False)
        start_s = time.process_time()
        step.step([message(0, value)])
        # About 0.1 s. Anything quadratic in a million takes minutes.
        assert time.process_time() - start_s < 10
        counts_of(step)


class TestConvertedValues:
    def test_numbers_as_text_and_booleans_as_numbers_are_watched_like_others(self):
        rng = random.Random(SEED)
        plain = [good_record(rng, number) for number in range(3000)]
        texts = [
            fields
            | {
                "infrastructure": {
                    "latency_ms": str(fields["infrastructure"]["latency_ms"]),
                    "error": int(fields["infrastructure"]["error"]),
                },
                "output": {
                    "length": str(fields["output"]["length"]),
                    "refused": str(fields["output"]["refused"]).lower(),
                    "finish_reason": ["stop"],
                },
            }
            for fields in plain
        ]
        settings = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
        (expected, expected_outputs), (step, outputs) = push(plain, settings), push(texts, settings)
        learned, converted = (
            [output.value for output in made if output.topic == BASELINES] for made in (expected_outputs, outputs)
        )
        assert learned == converted != []
        assert step.judged_share() == expected.judged_share() > 0.4
        columns = step.streams["bot"].columns
        assert not columns.bad_fields
        assert columns.converted_fields == dict.fromkeys(
            (
                "infrastructure.latency_ms",
                "infrastructure.error",
                "output.length",
                "output.refused",
                "output.finish_reason",
            ),
            3000,
        )
        assert counts_of(step, "used", "bad_fields", "converted_fields") == (3000, 0, 15_000)

    def test_what_has_no_single_meaning_is_a_bad_field_and_both_counts_are_restored(self):
        rng = random.Random(SEED)
        objects = [
            good_record(rng, number, infrastructure={"latency_ms": "fast", "error": 2}, output={"length": "7"})
            for number in range(20)
        ]
        step, _ = push(objects)
        columns = step.streams["bot"].columns
        assert columns.bad_fields == {
            ("infrastructure.latency_ms", "is_text"): 20,
            ("infrastructure.error", "is_number"): 20,
        }
        checkpoint = Checkpoint()
        checkpoint.take(step)
        restored = checkpoint.restored(DetectStep(0, DetectSettings(), replay=False), rng)
        assert restored.counts() == step.counts()
        assert restored.streams["bot"].columns.converted_fields == {"output.length": 20}


@pytest.mark.parametrize("case", [json.loads(line) for line in TIMES.read_bytes().splitlines()], ids=lambda c: c["as"])
def test_every_time_of_the_field_is_used_or_a_dead_letter_that_says_why(case):
    settings = DetectSettings(time_zone="UTC" if "with the setting UTC" in case["as"] else "")
    step = DetectStep(0, settings, replay=False)
    value = as_json({"subject": "bot", "timestamp": case["written"], "output": {"length": 1}})
    letters = [DeadLetter.from_json(output.value) for output in step.step([message(0, value, START_MS)])]
    if case["unix_ms"] is None:
        (letter,) = letters
        assert letter.reason in ("timestamp_invalid", "timestamp_out_of_range")
        assert ("set detect.time_zone" in letter.detail) == (case["as"] == "no zone, no setting")
    else:
        assert letters == []
        assert step.streams["bot"].watermark == case["unix_ms"]


class TestDuplicates:
    @pytest.mark.parametrize(
        "request_id",
        ["", "  ", "None", "null", None, "00000000-0000-0000-0000-000000000000", "gateway", "of a trace"],
    )
    def test_ids_that_do_not_identify_a_request_drop_nothing(self, request_id):
        rng = random.Random(SEED)
        step, _ = push(
            good_record(rng, number, request_id=f"trace-{number // 10}" if request_id == "of a trace" else request_id)
            for number in range(COUNT)
        )
        assert counts_of(step, "used", "duplicates") == (COUNT, 0)

    def test_each_message_sent_twice_in_a_row_is_used_once(self):
        rng = random.Random(SEED)
        objects = [good_record(rng, number) for number in range(COUNT)]
        step, _ = push(fields for fields in objects for _ in range(2))
        assert counts_of(step, "used", "duplicates") == (COUNT, COUNT)

    def test_a_message_without_an_id_sent_twice_is_used_once_if_its_time_is_fine(self):
        rng = random.Random(SEED)
        objects = [good_record(rng, number, timestamp=START_MS + number * 50 + 7) for number in range(100)]
        for fields in objects:
            del fields["request_id"]
        step, _ = push(objects * 2)
        assert counts_of(step, "used", "duplicates") == (100, 100)

    def test_an_array_sent_twice_is_used_once(self):
        rng = random.Random(SEED)
        values = [as_json([good_record(rng, 10 * number + index) for index in range(10)]) for number in range(50)]
        step = DetectStep(0, DetectSettings(), replay=False)
        for _ in range(2):
            step.step([message(number, value) for number, value in enumerate(values)])
        assert counts_of(step, "used", "duplicates") == (500, 500)

    def test_equal_thin_records_of_one_second_are_all_used(self):
        objects = [{"subject": "bot", "timestamp": START_MS, "output": {"refused": False}}] * 1000
        step, _ = push(objects)
        assert counts_of(step, "used", "duplicates") == (1000, 0)

    def test_a_record_with_the_same_id_and_time_and_other_content_is_used(self):
        rng = random.Random(SEED)
        first = good_record(rng, 1)
        other = first | {"output": {"length": 5}}
        later = first | {"timestamp": first["timestamp"] + 1}
        late_outcome = outcome("bot", 1, START_MS)
        step, _ = push([first, other, later, late_outcome, first, late_outcome])
        assert counts_of(step, "used", "duplicates") == (4, 2)

    def test_duplicates_are_found_after_a_restart(self):
        rng = random.Random(SEED)
        objects = [good_record(rng, number) for number in range(6000)]
        step, _ = push(objects)
        checkpoint = Checkpoint()
        checkpoint.take(step)
        restored = checkpoint.restored(DetectStep(0, DetectSettings(), replay=False), rng)
        parts = {key: len(value) for key, value in checkpoint.parts.items() if key.startswith(b"duplicates")}
        assert len(parts) == 8
        assert max(parts.values()) < 512 * 8 * 4 / 3 + 200
        restored.step([message(number, as_json(fields)) for number, fields in enumerate(objects[-3500:])])
        assert counts_of(restored, "used", "duplicates") == (6000, 3500)

    @pytest.mark.parametrize("request_id", ["", "None", "gateway", None])
    def test_refusals_are_seen_whatever_the_gateway_sends_as_id(self, request_id):
        """Refusals rise from 2 to 30 % for 40 minutes."""
        rng = random.Random(SEED)
        step = DetectStep(0, DetectSettings(), replay=False)
        step.control(published(BASELINE))
        start_ms, objects = START_MS, []
        for number in range(2400):
            fields = record(rng, number, start_ms + number * 1000 + 1, refused=0.02 if number < 300 else 0.3)
            objects.append(fields | {"request_id": f"trace-{number // 10}" if request_id is None else request_id})
        messages = [message(number, as_json(fields), start_ms + number * 1000) for number, fields in enumerate(objects)]
        drifts = drifts_of(drive(step, messages, range(0, len(messages), 60)))
        assert counts_of(step, "used", "duplicates") == (2400, 0)
        pages = {drift.signal for drift in drifts if drift.state == "firing" and drift.tier == "page"}
        assert pages == {"refused"}
