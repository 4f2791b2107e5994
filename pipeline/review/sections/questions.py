"""The five questions that the playbook asks of an AI incident, answered from data where data answers them."""

from collections.abc import Callable

from pipeline.correlate.deployments import describe_change
from pipeline.review.markdown import code, codes, escaped, moment
from pipeline.review.material import Material
from pipeline.review.watched import told
from schemas.deployment import Deployment

WORKLOAD = ("input_tokens", "input_length", "embedding_similarity")
"""Signals that show whether inputs are like those that the baseline was learned from."""

PIPELINE = ("null_fraction", "schema_valid", "feature_age_s", "schema_id")
"""Signals that hold assumptions about upstream data to account."""

RETRIEVAL = ("retrieval_score", "retrieved_documents", "index_age_s")
"""Signals of the retrieval layer."""


def questions(material: Material) -> list[str]:
    """The lines of the section."""
    asked: tuple[tuple[str, Callable[[Material], list[str]]], ...] = (
        ("Was the model evaluated against the input distribution it met in production?", _inputs),
        ("Were there data pipeline assumptions that were not validated?", _pipeline),
        ("Were prompts version-controlled and tested before the change?", _prompts),
        ("Did the retrieval layer have quality monitoring?", _retrieval),
        ("Was there a kill switch? Was it used? If not, why not?", _kill_switch),
    )
    lines: list[str] = []
    for number, (question, answer) in enumerate(asked, 1):
        lines += [f"{number}. **{question}**", *(f"   - {text}" for text in answer(material))]
    return lines


def prompt_changes(material: Material) -> list[Deployment]:
    """The prompts deployed from an hour before the start to the detection."""
    return [
        each
        for each in material.deployments
        if each.kind == "prompt" and each.timestamp <= material.incident.detected_at
    ]


def kill_switches(material: Material) -> list[Deployment]:
    """The changes of flags since the detection: a kill switch is one."""
    return [
        each for each in material.deployments if each.kind == "flag" and each.timestamp >= material.incident.detected_at
    ]


def _inputs(material: Material) -> list[str]:
    shifts = [suspect for suspect in material.incident.suspects if suspect.kind == "input_shift"]
    lines = [f"Inputs shifted: {escaped(suspect.name)}: {escaped(suspect.reason)}." for suspect in shifts]
    return [
        *lines,
        told(WORKLOAD, material),
        "To be answered: which inputs the model was evaluated on before it served, and how they compare. [model owner]",
    ]


def _pipeline(material: Material) -> list[str]:
    return [
        told(PIPELINE, material),
        "To be answered: which further assumptions about upstream data exist that no signal checks. [data owner]",
    ]


def _prompts(material: Material) -> list[str]:
    versions = sorted(_prompt_versions(material))
    if versions:
        lines = [f"Records name the prompt that served them: {codes(versions)}."]
    else:
        lines = ["No message at hand shows that records name the version of their prompt."]
    changed = prompt_changes(material)
    if not changed:
        return [
            *lines,
            "No deployment of a prompt is at hand from an hour before the start on, so none is known to have triggered it.",
        ]
    for each in changed:
        both = each.from_version is not None and each.to_version is not None
        lines.append(
            f"{escaped(describe_change(each))} ({code(each.deployment_id)}, {moment(each.timestamp)}) "
            f"{'names both versions' if both else 'does not name both versions: what it replaced cannot be brought back by name'}."
        )
    asked = next(
        (f"the author of {code(each.deployment_id)}, {escaped(each.author)}" for each in changed if each.author),
        "prompt owner",
    )
    return [*lines, f"To be answered: what it was tested on before it served. [{asked}]"]


def _prompt_versions(material: Material) -> set[str]:
    segments = {drift.segment for drift in material.drifts} | set(material.incident.segments)
    served = {each.version for drift in material.drifts for each in drift.series}
    return {label for label in segments | served if label.startswith("prompt=")}


def _retrieval(material: Material) -> list[str]:
    return [
        told(RETRIEVAL, material),
        f"To be answered, where nothing watches it: whether {code(material.incident.subject)} retrieves anything. [feature owner]",
    ]


def _kill_switch(material: Material) -> list[str]:
    proposed = {step.target for each in material.revisions for step in each.containment if step.action == "kill_switch"}
    lines = [f"driftwire proposed to switch off {', '.join(map(escaped, sorted(proposed)))}."] if proposed else []
    if not proposed:
        lines.append("No revision at hand proposes a kill switch for this failure mode.")
    used = kill_switches(material)
    if used:
        named = ", ".join(
            f"{escaped(describe_change(each))} at {moment(each.timestamp)} ({code(each.deployment_id)})"
            for each in used
        )
        return [
            *lines,
            f"Flags changed since the detection: {named}. To be answered: whether that was the kill switch. [incident commander]",
        ]
    return [
        *lines,
        "No deployment of kind `flag` is at hand since the detection: as far as messages tell it was not used.",
        "To be answered: whether there is one, and why it was not used. [incident commander]",
    ]
