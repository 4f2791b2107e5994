"""Response: the due time of each target, and the time at which it was met, as far as the messages show."""

from pipeline.review.markdown import code, escape, table
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.incident import ResponseTarget
from schemas.timestamp import date_time


def write_response(material: Material) -> list[str]:
    """Write the lines of the section."""
    rows = [_cells(target, material) for target in material.incident.response_targets]
    if not rows:
        return ["It has no response targets."]
    lines = table(("target", "due", "done", "in time", "source"), rows)
    return [*lines, "", *(f"- {text}" for text in _steps(material))]


def has_missed(name: str, material: Material) -> bool:
    """Return whether a target of this name is known to have been missed."""
    return any(
        target.name == name and target.due_at < (target.done_at or material.end)
        for target in material.incident.response_targets
    )


def _cells(target: ResponseTarget, material: Material) -> tuple[str, ...]:
    name, due, source = target.name.replace("_", " "), date_time(target.due_at), escape(target.source)
    if target.name == "review":
        return name, due, "this draft", "", source
    done_at = target.done_at
    if done_at is None and material.is_open:
        return name, due, "not done", _in_time(target.due_at, material.end), source
    if done_at is None:
        return name, due, "to be filled in", "no message records it", source
    return name, due, date_time(done_at), _in_time(target.due_at, done_at), source


def _in_time(due_at: int, at: int) -> str:
    if at <= due_at:
        return f"yes, {duration((due_at - at) / 1000)} left"
    return f"**missed by {duration((at - due_at) / 1000)}**"


def _steps(material: Material) -> list[str]:
    """Return lines about the first proposal and the deployments."""
    lines = []
    # Later revisions list completed steps last, so the first known revision shows the original order.
    first = material.revisions[0]
    if first.containment:
        steps = [f"{step.rank}. {step.action.replace('_', ' ')}: {escape(step.target)}" for step in first.containment]
        lines.append(f"Revision {first.revision} proposed: {'; '.join(steps)}.")
    rollbacks = [
        f"{code(rollback.deployment_id)} at {date_time(rollback.timestamp)}" for rollback in material.rollbacks
    ]
    if rollbacks:
        lines.append(f"Rolled back by {', '.join(rollbacks)}.")
    else:
        lines.append("No recorded deployment reverts another one: there was no rollback, or nobody recorded it.")
    others = material.other_changes
    if others:
        lines.append(f"{others} other {'change was' if others == 1 else 'changes were'} deployed while it was open.")
    return lines
