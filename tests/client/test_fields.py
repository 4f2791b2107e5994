"""The keywords of the client are the fields of the contracts."""

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from driftwire_client.fields import SECTIONS, DeploymentFields, OutcomeFields, RecordFields
from schemas.deployment import Deployment
from schemas.record import Data, Infrastructure, Output, Record, Safety

MODELS: dict[str, type[BaseModel]] = {
    "infrastructure": Infrastructure,
    "output": Output,
    "data": Data,
    "safety": Safety,
}
SECTION_FIELDS = {name: section for section, model in MODELS.items() for name in model.model_fields}
LABELS = set(Record.model_fields) - {"version", *MODELS}


def kinds(annotation: Any) -> set[type]:
    """Types without None. An int is a float, and a mapping or sequence is one whatever it contains."""
    if get_origin(annotation) in (types.UnionType, Union, None):
        found = set().union(*map(kinds, get_args(annotation))) if get_args(annotation) else {annotation}
        return found - {types.NoneType}
    if get_origin(annotation) is Literal:
        return {str}
    if hasattr(annotation, "__metadata__"):
        return kinds(annotation.__origin__)
    origin = get_origin(annotation)
    return {dict if "Mapping" in str(origin) else list if "Sequence" in str(origin) else origin}


def test_the_keywords_of_a_record_are_the_fields_of_the_contract() -> None:
    assert set(RecordFields.__annotations__) == {*LABELS, *SECTION_FIELDS}


def test_the_keywords_of_an_outcome_are_all_but_infrastructure() -> None:
    without_id = LABELS - {"request_id"}
    assert set(OutcomeFields.__annotations__) == {*without_id, *SECTION_FIELDS} - set(Infrastructure.model_fields)


def test_each_signal_is_sent_in_its_section() -> None:
    assert SECTIONS == SECTION_FIELDS


@pytest.mark.parametrize("name", SECTION_FIELDS)
def test_the_type_of_a_signal_is_that_of_the_contract(name: str) -> None:
    keyword = get_type_hints(RecordFields)[name]
    field = get_type_hints(MODELS[SECTION_FIELDS[name]])[name]
    assert kinds(keyword) == kinds(field)


def test_the_keywords_of_a_deployment_are_the_fields_of_the_contract() -> None:
    # The reader fills in the original kind.
    assert set(DeploymentFields.__annotations__) == set(Deployment.model_fields) - {"version", "kind_original"}
