"""The typed reader gives the same records, rejections and hashes as the reader for fields of any type."""

import json
import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detect.admission.batch import PART_MESSAGES, BatchDecoder
from pipeline.detect.admission.decode import LABEL_FIELDS_MAX, PROJECT_ABOVE_BYTES, parse_messages
from pipeline.detect.admission.duplicates import hash_contents
from pipeline.detect.admission.reader import CloudEventFound, RecordReader
from pipeline.detect.admission.typed_reader import CHANGES_FREE, NAMES_MAX, PAUSE_CALLS, TypedReader
from tests.hostile import kinds
from tests.mutations import fuzz_settings, messages
from tests.pipeline.detect.records import as_dicts, mixed_records
from tests.pipeline.detect.streams import START_MS, as_json, outcome, record

BYTES_MAX = 1024 * 1024
FULL = {
    "subject": "bot",
    "timestamp": "2026-11-24T03:12:00.123Z",
    "request_id": "r-1",
    "environment": "production",
    "provider": "openai",
    "provider_model": "m-1",
    "sampled": "tail",
    "sampling_probability": 0.25,
    "versions": {"model": "m-1", "prompt": 7, "flag:rerank": True},
    "segment": {"region": "eu", "tenant": None},
    "infrastructure": {"latency_ms": 576.2, "error": False, "input_tokens": 45, "error_type": None, "latencyMs": 3},
    "output": {"length": 413, "refused": True, "confidence": 0.79, "similarity": -0.5, "finish_reason": "stop"},
    "data": {"retrieval_score": -0.0, "schema_valid": True, "schema_id": "s", "embedding": [1, 0.5, -2e-3]},
    "safety": {"filter_triggered": None, "injection_score": 0},
    "custom": {"score": 1.5, "flag": True, "text": "0.5", "big": 2**63 - 1, "none": None},
    "note": {"a": [1, {"b": "x"}]},
}
LATE = {
    "subject": "bot",
    "timestamp": 1_795_489_920_123,
    "request_id": "r-1",
    "output": {"thumbs_down": True},
    "infrastructure": {},
}


def read_alone(value):
    """Return the record, the rejections and whether the message is an array, as read without the typed reader."""
    parsed = parse_messages([value], bytes_max=BYTES_MAX)
    reader = RecordReader()
    try:
        records = reader.read(parsed.objects)
    except CloudEventFound:
        parsed.unwrap_cloud_events()
        records = reader.read(parsed.objects)
    records.content_hashes = hash_contents(parsed.contents)
    return (
        [fields | comparable(records, row) for row, fields in enumerate(as_dicts(records))],
        [(rejection.reason, rejection.detail) for rejection in parsed.rejections],
    )


def comparable(records, row):
    """Return what :func:`as_dicts` leaves out, in a form that tells 0.0 from -0.0 and 1 from 1.0."""
    return {
        "bytes": records.values[row].tobytes(),
        "timestamp": repr(records.timestamps[row]),
        "custom": repr(records.custom_fields[row] or None) if records.custom_fields else "None",
        "embedding": repr(records.embeddings[row]) if records.embeddings else "None",
        "look_alikes": sorted(name for name, mask in records.look_alikes.items() if mask[row]),
    }


def trained_decoder(*objects):
    """Return a decoder that has learned the names of some objects."""
    decoder = BatchDecoder(RecordReader(), bytes_max=BYTES_MAX)
    for fields in objects:
        decoder.decode([json.dumps(fields).encode()] * 2)
    return decoder


def assert_decoded_as_alone(decoder, values):
    decoded = decoder.decode(values)
    records = [fields | comparable(decoded.records, row) for row, fields in enumerate(as_dicts(decoded.records))]
    positions = [fields.pop("positions") for fields in records]
    assert positions == sorted(positions)
    alone = [read_alone(value) for value in values]
    assert records == [fields for read, _ in alone for fields in read]
    rejections = [(rejection.reason, rejection.detail) for rejection in decoded.rejections]
    assert rejections == [rejection for _, rejections in alone for rejection in rejections]


def test_the_unchanged_messages_are_accepted():
    assert count_accepted([as_json(FULL), as_json(LATE | {"infrastructure": None})], FULL, LATE) == 2


def count_accepted(values, *objects):
    reader = TypedReader()
    for fields in objects:
        reader.learn([fields] * 2)
    return len(reader.read(values, bytes_max=BYTES_MAX).indexes)


@fuzz_settings
@given(st.lists(messages([FULL, LATE, outcome("bot", 1, START_MS)]), min_size=1, max_size=6))
def test_a_changed_message_gives_the_same_record_as_without_the_typed_reader(values):
    good = [json.dumps(FULL).encode()]
    assert_decoded_as_alone(trained_decoder(FULL, LATE), good + values + good)


def _texts():
    """Return JSON values that the two JSON readers could read in different ways."""
    return [
        *(b"-0", b"-0.0", b"0e1", b"1e400", b"-1e400", b"1e-400", b"0.1e1", b"1E2", b"01", b"1.", b".5", b"+1"),
        *(b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809"),
        *(b"18446744073709551615", b"18446744073709551616", b"1" * 309, b"1" * 310, b"1" * 5000),
        *(b"2.2250738585072011e-308", b"179769313486231580793728971405301e277", b"0." + b"3" * 900),
        *(b"NaN", b"Infinity", b"null", b"true", b"false", b"{}", b"[]", b"[1]", b"[[1]]", b'{"a":1}', b"tru", b""),
        *(b'""', b'"1"', b'"true"', b'"a\\u0000b"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\udc00\\ud800"', b'"\\x"'),
        *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xf0\x9f\x94\xa5"', b'"a\nb"', b'"' + b"x" * 201 + b'"', b"'a'"),
        *(b"[" * depth + b"]" * depth for depth in (3, 4, 5, 201, 1030)),
        *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (3, 4, 1030)),
        *(b'{"a":1,"a":2}', b'{"a":1,}', b'{"\xff":1}', b'{"\\ud800":1}', b'{"":1}', b'{"a":NaN}', b"[1,]", b"1 2"),
        b"{" + b",".join(b'"l%d":"x"' % number for number in range(LABEL_FIELDS_MAX + 1)) + b"}",
        b"{" + b",".join(b'"c%d":1' % number for number in range(65)) + b"}",
        b"[" + b"0.5," * 1000 + b"-1]",
        b'"2026-11-24T03:12:00Z"',
        b'"' + b"x" * PROJECT_ABOVE_BYTES + b'"',
    ]


PATHS = [
    *((name,) for name in FULL),
    *((section, name) for section, content in FULL.items() if isinstance(content, dict) for name in content),
    *(("new",), ("output", "new"), ("infrastructure", "cost"), ("versions", "new"), ("specversion",), ("derived", "x")),
]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_field_with_any_text_gives_the_same_record_as_without_the_typed_reader(path):
    decoder = trained_decoder(FULL, LATE)
    marked = json.loads(json.dumps(FULL))
    *sections, name = path
    (marked.setdefault(sections[0], {}) if sections else marked)[name] = "MARK"
    template = json.dumps(marked).encode()
    values = [template.replace(b'"MARK"', text) for text in _texts()]
    if not sections:  # the same name twice: the last value counts
        whole = json.dumps(FULL).encode()[:-1]
        values += [whole + b',"%b":%b}' % (name.encode(), text) for text in _texts() if len(text) < 99]
    assert_decoded_as_alone(decoder, values)


@pytest.mark.parametrize("infrastructure", [None, {}, {"latency_ms": None}, {"host": 1}, {"host": 1, "error": None}, {"error": True}, {"cost": -1}])  # fmt: skip
@pytest.mark.parametrize("request_id", [None, "r-1", "", "0-0"])
def test_a_late_outcome_is_found_by_the_names_of_its_infrastructure(infrastructure, request_id):
    fields = LATE | {"infrastructure": infrastructure, "request_id": request_id}
    values = [json.dumps(fields).encode(), json.dumps(FULL).encode()]
    assert_decoded_as_alone(trained_decoder(FULL, LATE, fields), values)
    assert_decoded_as_alone(trained_decoder(LATE), values)


@pytest.mark.parametrize("seed", range(3))
def test_a_mixed_batch_gives_the_same_records_as_without_the_typed_reader(seed):
    rng = random.Random(seed)
    decoder = BatchDecoder(RecordReader(), bytes_max=BYTES_MAX)
    hostile = [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 10_000]
    for count in (1, 3, 40, 3 * PART_MESSAGES // 2):
        values = [as_json(fields) for fields in mixed_records(rng, count)] + rng.sample(hostile, 10)
        values += [as_json([record(rng, number, START_MS) for number in range(2)])]
        rng.shuffle(values)
        assert_decoded_as_alone(decoder, values)


def test_most_messages_of_several_services_are_accepted():
    rng = random.Random(1)
    services = [FULL, record(rng, 1, START_MS), {"subject": "a", "timestamp": 1, "output": {"clicked": True}}]
    values = [orjson.dumps(rng.choice(services)) for _ in range(100)]
    assert count_accepted(values, *services) == 100


def test_names_that_only_one_record_has_are_not_learned():
    reader = TypedReader()
    reader.learn([{"subject": "bot", f"x{number}": 1} for number in range(50)])
    assert reader.read([b'{"subject":"bot"}'], bytes_max=BYTES_MAX).indexes == []


def test_too_many_names_are_forgotten_and_learned_again():
    reader = TypedReader()
    batches = [
        {"subject": "bot", **{f"x{batch}_{number}": 1 for number in range(NAMES_MAX // 2)}} for batch in range(3)
    ]
    for fields in batches:
        reader.learn([fields] * 2)
    accepted = reader.read([as_json(fields) for fields in batches], bytes_max=BYTES_MAX).indexes
    assert accepted == [2]


def test_names_that_change_all_the_time_are_learned_seldom():
    reader = TypedReader()
    learned = 0
    for number in range(60):
        fields = {"subject": "bot", f"x{number}": 1}
        reader.learn([fields] * 2)
        learned += bool(reader.read([as_json(fields)] * 500, bytes_max=BYTES_MAX).indexes)
    assert CHANGES_FREE < learned < CHANGES_FREE + 8


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "a\nb", "x" * 65])
def test_a_record_with_an_unusual_name_is_refused(name):
    fields = {"subject": "bot", name: 1}
    assert count_accepted([as_json(fields)], fields) == 0
    assert_decoded_as_alone(trained_decoder(fields, FULL), [as_json(fields), as_json(FULL)])


def test_a_service_whose_messages_are_all_refused_is_tried_seldom():
    reader = TypedReader()
    reader.learn([FULL] * 2)
    refused = FULL | {"request_id": 5}
    assert reader.read([as_json(refused)] * 2, bytes_max=BYTES_MAX).refused == [0, 1]
    reader.learn([refused] * 2)
    accepted = [reader.read([as_json(FULL)], bytes_max=BYTES_MAX).indexes for _ in range(PAUSE_CALLS + 1)]
    assert accepted == [[]] * PAUSE_CALLS + [[0]]
