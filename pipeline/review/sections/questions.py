"""The five questions of the playbook about an AI incident, answered from data where possible."""

from collections.abc import Callable

from pipeline.correlate.deployments import describe_change
from pipeline.review.markdown import code, code_list, escape
from pipeline.review.material import Material
from pipeline.review.sections.monitoring import describe_monitoring
from schemas.deployment import Deployment
from schemas.timestamp import date_time

WORKLOAD = ("input_tokens", "input_length", "embedding_similarity")
"""Signals that show whether inputs resemble those of the baseline."""

PIPELINE = ("null_fraction", "schema_valid", "feature_age_s", "schema_id")
"""Signals that check assumptions about upstream data."""

RETRIEVAL = ("retrieval_score", "retrieved_documents", "index_age_s")
"""Signals of the retrieval layer."""


def write_questions(material: Material) -> list[str]:
    """Write the lines of the section."""
    lines: list[str] = []
    for number, (question, answer) in enumerate(_QUESTIONS, 1):
        lines += [f"{number}. **{question}**", *(f"   - {text}" for text in answer(material))]
    return lines


def kill_switches(material: Material) -> list[Deployment]:
    """Return the flag changes since the detection, any of which may be a use of the kill switch."""
    detected_at = material.incident.detected_at
    return [
        deployment
        for deployment in material.deployments
        if deployment.kind == "flag" and deployment.timestamp >= detected_at
    ]


def _inputs(material: Material) -> list[str]:
    shifts = [suspect for suspect in material.incident.suspects if suspect.kind == "input_shift"]
    return [
        *(f"Inputs shifted: {escape(suspect.name)}: {escape(suspect.reason)}." for suspect in shifts),
        describe_monitoring(WORKLOAD, material),
        "To be answered: which inputs the model was evaluated on, and how they compare with production. [model owner]",
    ]


def _pipeline(material: Material) -> list[str]:
    return [
        describe_monitoring(PIPELINE, material),
        "To be answered: which other assumptions about upstream data no signal checks. [data owner]",
    ]


def _prompts(material: Material) -> list[str]:
    versions = sorted(_prompt_versions(material))
    if versions:
        lines = [f"Records contain the version of their prompt: {code_list(versions)}."]
    else:
        lines = ["No message shows that records contain the version of their prompt."]
    detected_at = material.incident.detected_at
    changes = [
        deployment
        for deployment in material.deployments
        if deployment.kind == "prompt" and deployment.timestamp <= detected_at
    ]
    if not changes:
        return [*lines, "No prompt deployment is known from one hour before the start until the detection."]
    for deployment in changes:
        has_both = deployment.from_version is not None and deployment.to_version is not None
        naming = (
            "names both versions" if has_both else "does not name both versions, so a rollback by name is impossible"
        )
        at = date_time(deployment.timestamp)
        lines.append(f"{escape(describe_change(deployment))} ({code(deployment.deployment_id)}, {at}) {naming}.")
    owner = next(
        (
            f"the author of {code(deployment.deployment_id)}, {escape(deployment.author)}"
            for deployment in changes
            if deployment.author
        ),
        "prompt owner",
    )
    return [*lines, f"To be answered: how it was tested before it was deployed. [{owner}]"]


def _prompt_versions(material: Material) -> set[str]:
    segments = {drift.segment for drift in material.drifts} | set(material.incident.segments)
    versions = {series.version for drift in material.drifts for series in drift.series}
    return {label for label in segments | versions if label.startswith("prompt=")}


def _retrieval(material: Material) -> list[str]:
    subject = code(material.incident.subject)
    return [
        describe_monitoring(RETRIEVAL, material),
        f"To be answered if none is monitored: whether {subject} uses retrieval. [feature owner]",
    ]


def _kill_switch(material: Material) -> list[str]:
    proposed = {
        step.target for incident in material.revisions for step in incident.containment if step.action == "kill_switch"
    }
    if proposed:
        lines = [f"driftwire proposed to switch off {', '.join(map(escape, sorted(proposed)))}."]
    else:
        lines = ["No known revision proposed a kill switch."]
    changes = [
        f"{escape(describe_change(deployment))} at {date_time(deployment.timestamp)} ({code(deployment.deployment_id)})"
        for deployment in kill_switches(material)
    ]
    if changes:
        question = "To be answered: whether that was the kill switch. [incident commander]"
        return [*lines, f"Flags changed since the detection: {', '.join(changes)}. {question}"]
    return [
        *lines,
        "No deployment of kind `flag` is known since the detection, so it was apparently not used.",
        "To be answered: whether there is a kill switch, and why it was not used. [incident commander]",
    ]


_QUESTIONS: tuple[tuple[str, Callable[[Material], list[str]]], ...] = (
    ("Was the model evaluated against the input distribution it met in production?", _inputs),
    ("Were there data pipeline assumptions that were not validated?", _pipeline),
    ("Were prompts version-controlled and tested before the change?", _prompts),
    ("Did the retrieval layer have quality monitoring?", _retrieval),
    ("Was there a kill switch? Was it used? If not, why not?", _kill_switch),
)
