"""Every field of the exported schemas has a description, and every number a unit."""

import re

import pytest

from pipeline.detect.signals.catalogue import CATEGORIES, DERIVED, SIGNALS
from schemas.export import MESSAGES, json_schema
from schemas.unit import UNIT_KEYWORD
from tests.test_docs import page

NUMBERS = {"number", "integer"}
CODE = re.compile(r"(1|ms|s|us|ns|By|\{[a-z_]+\})(/s)?")
SENT = [signal for signal in (*SIGNALS, *CATEGORIES) if signal.section != DERIVED]


def subschemas(schema, path=""):
    """A schema and all schemas inside it, with their paths. Definitions count once, not at each reference."""
    if isinstance(schema, dict):
        yield path, schema
        for keyword in ("$defs", "properties"):
            for name, inner in schema.get(keyword, {}).items():
                yield from subschemas(inner, f"{path}/{name}")
        for keyword in ("items", "additionalProperties"):
            yield from subschemas(schema.get(keyword), f"{path}/{keyword}")
        for index, inner in enumerate(schema.get("anyOf", [])):
            yield from subschemas(inner, f"{path}/{index}")


def types(schema):
    stated = schema.get("type", [])
    return {stated} if isinstance(stated, str) else set(stated)


def labels(schema):
    """Schemas of the numbers that are read as text: they have a text beside them and no unit."""
    alternatives = schema.get("anyOf", [])
    has_text = any("string" in types(inner) and "format" not in inner for inner in alternatives)
    return [id(inner) for inner in alternatives if has_text]


def field_schema(signal):
    """The schema of a signal's field in the record."""
    record = json_schema("record")
    if not signal.section:
        return record["properties"][signal.field]
    section = record["properties"][signal.section]["anyOf"][0]["$ref"].rsplit("/", 1)[1]
    return record["$defs"][section]["properties"][signal.field]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_property_has_a_description_in_sentences(name):
    properties = [
        (f"{path}/{field}", inner)
        for path, schema in subschemas(json_schema(name))
        for field, inner in schema.get("properties", {}).items()
    ]
    assert len(properties) >= 5
    bad = [path for path, inner in properties if not re.fullmatch(r"[A-Z0-9].*\.", inner.get("description", ""))]
    assert bad == []


@pytest.mark.parametrize("name", MESSAGES)
def test_every_number_has_a_unit(name):
    schemas = list(subschemas(json_schema(name)))
    texts = {number for _, schema in schemas for number in labels(schema)}
    numbers = {
        path: schema.get(UNIT_KEYWORD, "")
        for path, schema in schemas
        if types(schema) & NUMBERS and "string" not in types(schema) and "const" not in schema
        if id(schema) not in texts
    }
    assert {path: code for path, code in numbers.items() if not CODE.fullmatch(code)} == {}


def test_every_unit_is_explained():
    explained = page("topics.md").partition("## Units")[2].partition("\n## ")[0]
    codes = {
        schema[UNIT_KEYWORD]
        for name in MESSAGES
        for _, schema in subschemas(json_schema(name))
        if UNIT_KEYWORD in schema
    }
    assert [code for code in sorted(codes) if f"`{code}`" not in explained] == []


@pytest.mark.parametrize("signal", SENT, ids=lambda signal: signal.name)
def test_schema_catalogue_and_documentation_agree_on_a_signal(signal):
    schema = field_schema(signal)
    (row,) = [line for line in page("signals.md").splitlines() if line.startswith(f"| `{signal.name}` ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"`{signal.section}.{signal.field}`".replace("`.", "`")
    assert cells[2] == schema["description"]
    units = [inner.get(UNIT_KEYWORD) for inner in schema["anyOf"] if types(inner) & NUMBERS]
    match signal.kind:
        case "rate" | "category":
            assert units == []
            assert not signal.unit
        case _:
            code = signal.unit if signal.unit in ("ms", "s") else f"{{{signal.unit}}}"
            assert units == [code if signal.unit else "1"]
            assert f"| {signal.unit or '-'} |" in row


@pytest.mark.parametrize("signal", [signal for signal in SENT if signal.kind in ("amount", "ratio", "age")], ids=str)
def test_the_schema_has_the_limits_of_the_catalogue(signal):
    (number,) = [inner for inner in field_schema(signal)["anyOf"] if types(inner) & NUMBERS]
    assert number["minimum"] == signal.low
    assert number["maximum"] == signal.high
