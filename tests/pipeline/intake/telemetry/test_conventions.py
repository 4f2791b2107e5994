"""The tables of the conventions are complete, and the page about traces shows them."""

from pathlib import Path

import pytest

from pipeline.intake.telemetry import DERIVED_SOURCES, KIND_RULES, REFUSAL_REASONS, SYNONYMS
from pipeline.intake.telemetry.conventions import FIRST_TOKEN_EVENTS
from schemas.record_fields import find_record_field

PAGE = (Path(__file__).parents[4] / "docs" / "traces.md").read_text()


def source(row):
    return f"{row.convention.name} | {row.convention.document} {row.convention.version} ({row.convention.date})"


def rows():
    for row in SYNONYMS:
        field = find_record_field(row.field)
        unit = " (in seconds)" if row.unit == "s" else ""
        yield f"| `{field.name}` | `{row.attribute}`{unit} | {source(row)} |"
    for rule in KIND_RULES:
        values = ", ".join(f"`{value}`" for value in rule.values) or "any"
        yield f"| {rule.kind} | `{rule.attribute}` | {values} | {source(rule)} |"
    for reason in REFUSAL_REASONS:
        yield f"| `{reason.value}` | {source(reason)} |"
    for derived in DERIVED_SOURCES:
        name = f"`{derived.attribute}*`" if derived.attribute.endswith(".") else f"`{derived.attribute}`"
        yield f"| {derived.field} | {name} | {source(derived)} |"
    for event in FIRST_TOKEN_EVENTS:
        yield f"| `{event.name}` | {source(event)} |"


def test_the_page_has_a_row_for_each_row_of_the_tables():
    expected = list(rows())
    found = [line for line in PAGE.splitlines() if line.startswith("| ") and line.endswith("-11) |")]
    assert found == expected


@pytest.mark.parametrize("row", SYNONYMS, ids=lambda row: f"{row.field}-{row.attribute}")
def test_each_synonym_has_a_field_and_a_unit_that_fits(row):
    field = find_record_field(row.field)
    assert field is not None
    assert row.unit in ("", "s")
    assert not row.unit or field.unit == "ms"
    assert row.convention.document
    assert row.convention.version
    assert row.convention.date


def test_no_attribute_has_two_rows_for_one_field():
    pairs = [(row.field, row.attribute) for row in SYNONYMS]
    assert len(set(pairs)) == len(pairs)
    values = [(rule.attribute, value) for rule in KIND_RULES for value in rule.values or ("",)]
    assert len(set(values)) == len(values)
