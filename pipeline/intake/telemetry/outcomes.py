"""Late outcomes: what retrievals, guardrails, tools and evaluations say about a request that they belong to."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.conversion import convert_to_number
from pipeline.intake.telemetry.answer import parse_attribute
from pipeline.intake.telemetry.otlp import TelemetryItem

EVALUATIONS_MAX = 64
"""Maximum number of evaluations of one span. Further ones are ignored."""

_DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.(.+)", re.ASCII)
_EVALUATION = re.compile(r"evaluations\.(\d+)\.evaluation\.(name|score|label)", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/ -]{0,63}", re.ASCII)
"""Names of evaluations. Any other text could be content."""

_LABELS = {"pass": True, "fail": False}
"""Labels of GenAI's ``gen_ai.evaluation.score.label`` that have only one meaning."""

_HALLUCINATION_LABELS = {"hallucinated": True, "factual": False}
"""Labels of the evaluation ``hallucination`` of Phoenix (arize-phoenix-evals, default_templates.py)."""

_ACTIONS = {"block": True, "allow": False, "modify": False, "escalate": False}
_VERDICTS = {"deny": True, "allow": False, "modify": False, "warn": False, "escalate": False}
_STATUSES = {"guardrail_intervened": True, "success": False}


def read_retrieval(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of retrieved documents and the best score, as fields of a record."""
    documents = parse_attribute(attributes.get("gen_ai.retrieval.documents"))
    if isinstance(documents, list):
        count = len(documents)
        scores = [document.get("score") for document in documents if isinstance(document, dict)]
    else:
        found = [(match, value) for name, value in attributes.items() if (match := _DOCUMENT.fullmatch(name))]
        count = len({match[1] for match, _ in found})
        if not count:
            # OpenInference writes nothing about documents both if there are none and if they are hidden.
            return {}
        scores = [value for match, value in found if match[2] == "document.score"]
    numbers = [number for score in scores if (number := _read_number(score)) is not None]
    data: dict[str, Any] = {"retrieved_documents": count}
    if numbers:
        data["retrieval_score"] = max(numbers)
    return {"data": data}


def read_guardrail(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether a guardrail blocked, as fields of a record. What it reports without effect is not a block."""
    for name, meanings in (
        ("gen_ai.guardrail.action.type", _ACTIONS),
        ("gen_ai.guardrail.verdict.type", _VERDICTS),
        ("guardrail_status", _STATUSES),
    ):
        value = attributes.get(name)
        if isinstance(value, str) and value in meanings:
            return {"safety": {"filter_triggered": meanings[value]}}
    return {}


def read_tool(item: TelemetryItem) -> dict[str, Any]:
    """Return whether a tool failed, as fields of a record."""
    return {"output": {"tool_error": is_failed(item)}}


def is_failed(item: TelemetryItem) -> bool:
    """Return whether a span failed. The status OK is final: a retry can succeed after an error, as in LiteLLM."""
    attributes = item.attributes
    has_error = bool(attributes.get("error.type")) or attributes.get("langfuse.observation.level") == "ERROR"
    return item.is_error or (has_error and not item.is_ok)


def read_evaluation(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of an event ``gen_ai.evaluation.result``, as fields of a record."""
    fields: dict[str, Any] = {}
    _add_evaluation(
        fields,
        attributes.get("gen_ai.evaluation.name"),
        attributes.get("gen_ai.evaluation.score.value"),
        attributes.get("gen_ai.evaluation.score.label"),
    )
    return fields


def read_evaluations(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evaluations that are attributes of a span, as fields of a record."""
    evaluations: dict[str, dict[str, Any]] = {}
    for name, value in attributes.items():
        match = _EVALUATION.fullmatch(name) if name.startswith("evaluations.") else None
        if match is not None:
            evaluations.setdefault(match[1], {})[match[2]] = value
    fields = read_evaluation(attributes)
    for found in list(evaluations.values())[:EVALUATIONS_MAX]:
        _add_evaluation(fields, found.get("name"), found.get("score"), found.get("label"))
    return fields


def _add_evaluation(fields: dict[str, Any], name: Any, score: Any, label: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return
    label = label.lower() if isinstance(label, str) else None
    if name.lower() == "hallucination" and label in _HALLUCINATION_LABELS:
        fields.setdefault("output", {})["hallucinated"] = _HALLUCINATION_LABELS[label]
    elif (number := _read_number(score)) is not None:
        fields.setdefault("custom", {})[name] = number
    elif label in _LABELS:
        fields.setdefault("custom", {})[name] = _LABELS[label]


def _read_number(value: Any) -> float | None:
    if isinstance(value, str):
        return convert_to_number(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
