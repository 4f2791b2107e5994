"""Mapping of objects to records: sources, units, absent values, constants, subjects, times and what is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.detect.admission import Admission
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import catalogue
from pipeline.intake import FieldMapping, MappingSettings
from pipeline.intake.mapping import DroppedValue
from pipeline.lenient_json import NOT_FINITE, dump_json
from pipeline.step import RawMessage
from schemas.record_fields import RECORD_FIELDS

AT = "2026-11-24T03:12:00.123Z"
AT_MS = 1_795_489_920_123


def read(source, **settings):
    return FieldMapping(MappingSettings(**settings)).read({"subject": "bot", "timestamp": AT} | source)


def admit(record):
    message = RawMessage("driftwire.records", 0, 0, AT_MS, None, dump_json(record))
    return Admission(DetectSettings(), replay=True).admit([message])


def value_of(source, entry, **settings):
    record = read(source, map=(entry,), **settings).record
    return {name: value for name, value in record.items() if name not in ("subject", "timestamp")}


def test_the_fields_of_the_contract_are_those_of_the_catalogue():
    kinds = {"amount": "number", "age": "number", "category": "label"}
    for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES):
        if signal.section in ("", catalogue.DERIVED):
            continue
        field = RECORD_FIELDS[signal.field]
        assert field.path == (signal.section, signal.field)
        assert field.kind == kinds.get(signal.kind, signal.kind)
        assert field.unit == (signal.unit if signal.unit in ("ms", "s") else "")


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"latency": 5}, "latency"),
        ({"usage": {"latency": 5}}, "usage.latency"),
        ({"usage.latency": 5}, "usage.latency"),
        ({"usage.latency": 5, "usage": {"latency": 6}}, "usage.latency"),
        ({"usage.latency": None, "usage": {"latency": 5}}, "usage.latency"),
        ({"attributes": {"gen_ai.usage": {"latency": 5}}}, "attributes.gen_ai.usage.latency"),
        ({"choices": [{}, {"took": 5}]}, "choices.1.took"),
        ({"a=b": 5}, "a=b"),
    ],
)
def test_a_source_is_a_path(source, path):
    assert value_of(source, f"{path}=latency_ms") == {"infrastructure": {"latency_ms": 5}}


@pytest.mark.parametrize("source", [{}, {"usage": 5}, {"usage": []}, {"usage": {"latency": None}}, {"usage": [{}]}])
@pytest.mark.parametrize("path", ["usage.latency", "usage.0.latency", "usage.999999999999"])
def test_a_source_that_is_not_there_gives_no_value(source, path):
    mapped = read(source, map=(f"{path}=latency_ms",))
    assert mapped.record == {"subject": "bot", "timestamp": AT}
    assert not mapped.dropped


@pytest.mark.parametrize(
    ("entry", "sent", "expected"),
    [
        ("x=latency_ms:s", 0.812, 812.0),
        ("x=latency_ms:s", "0.812", 812.0),
        ("x=latency_ms:s", [0.812], 812.0),
        ("x=latency_ms:us", 812, 0.812),
        ("x=latency_ms:ns", 812_000_000, 812.0),
        ("x=latency_ms:ms", 812, 812.0),
        ("x=index_age_s:min", 3, 180.0),
        ("x=data.index_age_s:h", 2, 7200.0),
        ("x=index_age_s:ms", 500, 0.5),
        ("x=confidence:%", 91, 0.91),
        ("x=gpu_utilization:%", "55", 0.55),
    ],
)
def test_units_are_converted(entry, sent, expected):
    (section,) = value_of({"x": sent}, entry).values()
    assert list(section.values()) == [expected]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        *((value, "wrong_type") for value in ("fast", True, {}, [1, 2])),
        *((value, "out_of_bounds") for value in (1e308, 10**400)),
        (NOT_FINITE, "not_json"),
    ],
)
def test_a_value_without_that_unit_is_dropped(sent, reason):
    mapped = read({"x": sent}, map=("x=latency_ms:h",))
    assert mapped.dropped == [DroppedValue("infrastructure.latency_ms", "x", reason)]
    assert mapped.record["infrastructure"] == {"latency_ms": "" if isinstance(sent, str) else {}}


def test_values_without_a_unit_are_passed_on_for_detect_to_convert():
    sent = {"took": "812", "failed": "true", "why": ["stop"], "kind": 5}
    entries = ("took=latency_ms", "failed=error", "why=finish_reason", "kind=error_type")
    assert read(sent, map=entries).record == {
        "subject": "bot",
        "timestamp": AT,
        "infrastructure": {"latency_ms": "812", "error": "true", "error_type": 5},
        "output": {"finish_reason": "stop"},
    }


@pytest.mark.parametrize(
    ("entry", "sent", "reason"),
    [
        ("x=refused", {"text": "Hello"}, "wrong_type"),
        ("x=finish_reason", "x" * 201, "too_long"),
        ("x=versions.prompt", ["a", "b"], "wrong_type"),
        ("x=embedding", [1, "text"], "wrong_type"),
        ("x=error_type", NOT_FINITE, "not_json"),
    ],
)
def test_text_that_could_be_a_prompt_never_reaches_a_record(entry, sent, reason):
    mapped = read({"x": sent}, map=(entry,))
    (dropped,) = mapped.dropped
    assert dropped.reason == reason
    section, name = dropped.field.split(".")
    assert mapped.record == {"subject": "bot", "timestamp": AT, section: {name: {}}}
    batch = admit(mapped.record)
    assert [(field, why) for _, field, why in batch.records.faults] == [(dropped.field, "is_object")]


@pytest.mark.parametrize(
    ("text", "reason"), [("Hello", "wrong_type"), ("1,204", "wrong_type"), ("Dear assistant, " * 10, "too_long")]
)
@pytest.mark.parametrize("field", ["latency_ms", "error", "confidence", "custom.score"])
def test_text_for_a_number_never_reaches_a_record_and_still_counts_as_text(field, text, reason):
    mapped = read({"x": text}, map=(f"x={field}",))
    (dropped,) = mapped.dropped
    assert dropped.reason == reason
    section, name = dropped.field.split(".")
    assert mapped.record == {"subject": "bot", "timestamp": AT, section: {name: ""}}
    if section != "custom":
        assert [(path, why) for _, path, why in admit(mapped.record).records.faults] == [(dropped.field, "is_text")]


def test_names_that_could_be_a_prompt_never_reach_a_record():
    sections = {section: {"Hello " * 50: 1} for section in ("custom", "segment", "versions")}
    assert read(sections).record == {"subject": "bot", "timestamp": AT}


def test_only_mapped_values_reach_a_record():
    source = {"prompt": "Hello", "answer": {"text": "Hi"}, "latency_ms": 5, "messages": [{"content": "Hello"}]}
    assert b"Hello" not in dump_json(read(source).record)
    assert read(source).record["infrastructure"] == {"latency_ms": 5}


def test_a_record_is_mapped_to_itself():
    record = {
        "subject": "bot",
        "timestamp": AT,
        "request_id": "r1",
        "versions": {"model": "m", "flag:x": True},
        "segment": {"region": "eu"},
        "infrastructure": {"latency_ms": 5, "error": False},
        "data": {"embedding": [0.5, 1]},
        "custom": {"score": 3.5},
    }
    mapped = FieldMapping(MappingSettings()).read(record)
    assert (mapped.record, mapped.time_ms, mapped.problem, mapped.dropped) == (record, AT_MS, None, [])


def test_a_mapped_field_is_not_also_read_by_its_name():
    assert value_of({"latency_ms": 1, "took": 5}, "took=latency_ms") == {"infrastructure": {"latency_ms": 5}}
    assert value_of({"latency_ms": 1}, "took=latency_ms") == {}


@pytest.mark.parametrize("sent", [-1, -1.0, "-1", " -1 ", "-1.0"])
def test_absent_values_are_left_out(sent):
    assert value_of({"took": sent}, "took=latency_ms:s", absent=("latency_ms=-1",)) == {}


def test_other_values_are_not_absent():
    absent = ("latency_ms=-1", "refused=unknown")
    assert value_of({"took": 1, "refused": "no"}, "took=latency_ms", absent=absent) == {
        "infrastructure": {"latency_ms": 1},
        "output": {"refused": "no"},
    }
    assert "output" not in value_of({"refused": "unknown"}, "took=latency_ms", absent=absent)


def test_constants_replace_what_is_read_by_name():
    constants = {"environment": "production", "versions.model": "m1", "length": 5}
    record = read({"environment": "staging", "versions": {"model": "x"}}, constants=constants).record
    assert record["environment"] == "production"
    assert record["versions"] == {"model": "m1"}
    assert record["output"] == {"length": 5}


@pytest.mark.parametrize(
    ("rule", "source", "subject"),
    [
        ("shop-bot", {}, "shop-bot"),
        ("{app}-{endpoint}", {"app": "shop", "endpoint": "chat"}, "shop-chat"),
        ("{meta.app} ({n})", {"meta": {"app": "shop"}, "n": 7}, "shop (7)"),
        ("{app}", {"app": "shop", "subject": "other"}, "shop"),
    ],
)
def test_a_subject_is_a_name_or_a_rule(rule, source, subject):
    assert read(source, subject=rule).record["subject"] == subject


@pytest.mark.parametrize(
    ("source", "settings", "reason"),
    [
        ({"subject": None}, {}, "subject_missing"),
        ({"subject": ""}, {}, "subject_missing"),
        ({}, {"subject": "{app}"}, "subject_missing"),
        ({"app": True}, {"subject": "{app}"}, "subject_missing"),
        ({"app": "x" * 201}, {"subject": "{app}"}, "subject_invalid"),
        ({"subject": "a\nb"}, {}, "subject_invalid"),
        ({"subject": {}}, {}, "subject_invalid"),
        ({"subject": NOT_FINITE}, {}, "not_json"),
        ({"timestamp": None}, {}, "timestamp_missing"),
        ({"timestamp": NOT_FINITE}, {}, "not_json"),
        ({"timestamp": "yesterday"}, {}, "timestamp_invalid"),
        ({"timestamp": "2026-11-24 03:12:00"}, {}, "timestamp_invalid"),
        ({"timestamp": {"seconds": 5}}, {}, "timestamp_invalid"),
        ({"timestamp": "2026-10-25 02:30:00"}, {"time_zone": "Europe/Berlin"}, "timestamp_invalid"),
    ],
)
def test_an_object_without_subject_or_time_gives_no_record(source, settings, reason):
    mapped = read(source, **settings)
    assert mapped.reason == reason
    assert mapped.problem
    assert "x" * 201 not in mapped.problem


def test_a_rule_without_its_source_is_named():
    mapped = read({"app": "shop"}, subject="{app}-{endpoint}")
    assert mapped.problem == (
        'the subject "{app}-{endpoint}" has a source that is missing, or is neither text nor a whole number'
    )


@pytest.mark.parametrize("sent", [AT, AT_MS, AT_MS * 1000, "2026-11-24 14:12:00.123+11"])
def test_a_time_with_an_offset_is_passed_on(sent):
    mapped = read({"timestamp": sent}, time_zone="Australia/Sydney")
    assert (mapped.record["timestamp"], mapped.time_ms) == (sent, AT_MS)


def test_a_time_without_an_offset_is_converted():
    mapped = read({"timestamp": "2026-11-24 14:12:00.123"}, time_zone="Australia/Sydney")
    assert (mapped.record["timestamp"], mapped.time_ms) == (AT, AT_MS)


def test_the_default_time_is_used_only_without_a_time():
    mapping = FieldMapping(MappingSettings(subject="bot"))
    assert mapping.read({}, default_time_ms=AT_MS).record["timestamp"] == AT
    assert mapping.read({"timestamp": AT_MS + 5}, default_time_ms=AT_MS).time_ms == AT_MS + 5
    assert mapping.read({"timestamp": "yesterday"}, default_time_ms=AT_MS).reason == "timestamp_invalid"


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"map": ("latency",)}, ['map "latency"', "SOURCE=FIELD"]),
        ({"map": ("=latency_ms",)}, ["SOURCE=FIELD"]),
        ({"map": ("x=latency",)}, ['map "x=latency"', '"latency"', "latency_ms"]),
        ({"map": ("x=output.latency_ms",)}, ["output.latency_ms"]),
        ({"map": ("x=latency_ms:kg",)}, ['"kg"', "min"]),
        ({"map": ("x=input_tokens:s",)}, ["infrastructure.input_tokens is not a duration"]),
        ({"map": ("x=latency_ms:%",)}, ["infrastructure.latency_ms is not a ratio"]),
        ({"map": ("x=timestamp:s",)}, ["timestamp is not a duration"]),
        ({"map": ("x=custom.wait:s",)}, ['map "x=custom.wait:s"', "custom.wait is not a duration"]),
        ({"map": ("x=latency_ms:",)}, ['map "x=latency_ms:"', 'unknown unit ""']),
        ({"map": ("x=latency_ms", "y=infrastructure.latency_ms:s")}, ['map "y=', "also mapped to x"]),
        ({"map": (".".join("x" * 33) + "=length",)}, ["33 parts"]),
        ({"absent": ("latency_ms",)}, ['absent "latency_ms"', "FIELD=VALUE"]),
        ({"absent": ("latency=-1",)}, ['absent "latency=-1"', "latency_ms"]),
        ({"constants": {"enviroment": "x"}}, ['constants "enviroment"', '"environment"']),
        ({"constants": {"subject": "x"}}, ["cannot be the subject"]),
        ({"constants": {"length": 1}, "map": ("x=length",)}, ['constants "length"', "also mapped to x"]),
        ({"constants": {"latency_ms": "fast"}}, ['constants "latency_ms"', "number or boolean"]),
        ({"constants": {"confidence": float("nan")}}, ['constants "confidence"', "from -1e+15 to 1e+15"]),
        ({"constants": {"length": 10**30}}, ['constants "length"', "from -1e+15 to 1e+15"]),
        ({"constants": {"environment": "x" * 201}}, ['constants "environment"', "200 characters"]),
        ({"constants": {"embedding": 1}}, ['constants "embedding"', "list"]),
        ({"constants": {"length": 1, "output.length": 2}}, ['constants "output.length"', "given twice"]),
        ({"subject": "a\nb"}, ["subject", "no control characters"]),
        ({"subject": "x" * 201}, ["subject", "200 characters"]),
        ({"subject": "{app"}, ['subject "{app"', "braces"]),
        ({"subject": "{}"}, ["no name"]),
        ({"subject": "a", "map": ("x=subject",)}, ["also mapped to x"]),
        ({"time_zone": "Mars/Base"}, ["Mars/Base"]),
    ],
)
def test_a_wrong_entry_is_named(settings, parts):
    with pytest.raises(ValidationError) as caught:
        MappingSettings(**settings)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_constants_of_options_are_parsed():
    settings = MappingSettings.from_options(map=("x=length",), constants=("environment=a=b", "versions.model=m"))
    assert settings.constants == {"environment": "a=b", "versions.model": "m"}
    for texts in (("environment",), ("environment=a", "environment=b"), ("nothing=1",)):
        with pytest.raises(ValueError, match='constant "'):
            MappingSettings.from_options(constants=texts)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.just(NOT_FINITE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [*RECORD_FIELDS, "a", "a.b", "app", "infrastructure", "output", "custom", "segment", "versions"]
)
MAPPED = FieldMapping(
    MappingSettings(
        map=("a=latency_ms:s", "a.b=confidence:%", "a.0=error", "a.b.c=versions.flag:x", "app=custom.y"),
        absent=("latency_ms=-1",),
        constants={"environment": "production"},
        time_zone="Europe/Berlin",
    )
)


@given(st.dictionaries(NAMES | st.text(max_size=4), JSON | st.dictionaries(NAMES, JSON, max_size=4), max_size=8))
def test_any_object_becomes_a_record_that_detect_admits_or_a_problem(source):
    mapped = MAPPED.read(source | {"subject": source.get("subject", "bot"), "timestamp": source.get("timestamp", AT)})
    if mapped.problem is None:
        batch = admit(mapped.record)
        assert (len(batch.records), len(batch.dead_letters)) == (1, 0)
        assert batch.records.times_ms.tolist() == [mapped.time_ms]
    else:
        assert mapped.reason
