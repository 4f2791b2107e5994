"""The exported schemas accept what the contracts and detect's reader accept, apart from the differences in the docs."""

import json
import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.detect.admission.reader import RecordReader
from schemas.export import MESSAGES
from schemas.timestamp import parse_timestamp
from tests.mutations import fuzz_settings, mutated
from tests.schemas.test_examples import FILES, contents, read, validator

BEFORE_1973 = re.compile(r"(0|1[0-8]|19[0-6]|197[0-3])\d*-.*", re.ASCII)

validators = cache(validator)


def examples(name):
    return [content for file in FILES if file.parent.name == name for content in contents(file)]


def is_json(content):
    """Whether a value is an object without NaN, infinity and lone surrogates, which a JSON Schema cannot judge."""
    try:
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return isinstance(content, dict)


def is_other_time(problem):
    """Whether the schema refuses a time that the contract reads, such as a Unix time as text."""
    try:
        return bool(parse_timestamp(problem.instance))
    except ValueError:
        alternatives = {inner.schema_path[0] for inner in problem.context}
        return any(
            all(is_other_time(inner) for inner in problem.context if inner.schema_path[0] == alternative)
            for alternative in alternatives
        )


def is_too_early(problem):
    """Whether the contract refuses a time before 1973, which fits the format of the schema."""
    return isinstance(problem["input"], str) and bool(BEFORE_1973.fullmatch(problem["input"]))


def ends_in_a_newline(problem):
    """Whether a pattern refuses a newline at the end. JSON Schema refuses it too, but Python's ``$`` allows it."""
    return problem["type"] == "string_pattern_mismatch" and problem["input"].endswith("\n")


def violations(name, content):
    try:
        read(name, content)
    except ValidationError as error:
        return error.errors()
    return []


@pytest.mark.parametrize("name", sorted(MESSAGES))
@fuzz_settings
@given(data=st.data())
def test_a_message_fits_both_its_contract_and_its_schema_or_neither(name, data):
    content = data.draw(mutated(examples(name)).filter(is_json))
    refused, violated = list(validators(name).iter_errors(content)), violations(name, content)
    if bool(refused) != bool(violated):
        assert all(is_other_time(problem) for problem in refused), refused
        assert all(is_too_early(problem) or ends_in_a_newline(problem) for problem in violated), violated


@pytest.mark.parametrize(
    ("name", "changes", "by_schema", "by_contract"),
    [
        ("tick", {"watermark": 1_795_489_920_123}, False, True),
        ("record", {"timestamp": 1_795_489_920_123}, True, True),
        ("record", {"timestamp": "1795489920123"}, False, True),
        ("record", {"timestamp": "2026-11-24 03:12:00,123 +1100"}, False, True),
        ("record", {"timestamp": "1970-01-01T00:00:00Z"}, True, False),
        ("deployment", {"subject": ["chat", 7]}, True, True),
    ],
)
def test_the_differences_are_those_of_the_documentation(name, changes, by_schema, by_contract):
    content = examples(name)[0] | changes
    assert validators(name).is_valid(content) == by_schema
    assert (violations(name, content) == []) == by_contract


@fuzz_settings
@given(content=mutated(examples("record")).filter(is_json))
def test_a_record_that_fits_the_schema_is_read_without_a_fault_or_a_conversion(content):
    if not validators("record").is_valid(content):
        return
    records = RecordReader().read([content])
    assert records.faults == []
    assert {path for path, mask in records.converted.items() if mask.any()} == set()
