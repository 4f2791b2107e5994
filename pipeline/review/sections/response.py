"""Response: what was due by when, and when it was done, as far as the messages tell."""

from pipeline.review.markdown import code, escaped, moment, table
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.incident import ResponseTarget


def response(material: Material) -> list[str]:
    """The lines of the section."""
    rows = [_cells(target, material) for target in material.incident.response_targets]
    if not rows:
        return ["No targets are set for it."]
    lines = table(("target", "due", "done", "in time", "source"), rows)
    return [*lines, "", *(f"- {text}" for text in _steps(material))]


def missed(name: str, material: Material) -> bool:
    """Whether a target of this name is known to have been missed."""
    return any(
        target.name == name and target.due_at < (target.done_at or material.end)
        for target in material.incident.response_targets
    )


def _cells(target: ResponseTarget, material: Material) -> tuple[str, ...]:
    name, due, source = target.name.replace("_", " "), moment(target.due_at), escaped(target.source)
    if target.name == "review":
        return name, due, "this draft", "", source
    done = target.done_at
    if done is None and material.is_open:
        return name, due, "not done", _late(target.due_at, material.end), source
    if done is None:
        return name, due, "to be filled in", "no message tells of it", source
    return name, due, moment(done), _late(target.due_at, done), source


def _late(due: int, at: int) -> str:
    if at <= due:
        return f"yes, {duration((due - at) / 1000)} left"
    return f"**missed by {duration((at - due) / 1000)}**"


def _steps(material: Material) -> list[str]:
    """What was proposed first, and what was deployed against it."""
    # The first revision at hand proposes what has not been done yet.
    proposed = material.revisions[0].containment
    lines = (
        [
            f"Revision {material.revisions[0].revision} proposed: "
            + "; ".join(f"{step.rank}. {step.action.replace('_', ' ')}: {escaped(step.target)}" for step in proposed)
            + "."
        ]
        if proposed
        else []
    )
    back = material.rollbacks
    if back:
        named = ", ".join(f"{code(each.deployment_id)} at {moment(each.timestamp)}" for each in back)
        lines.append(f"Rolled back by {named}.")
    else:
        lines.append(
            "No deployment at hand takes another one back: it ended without a rollback, or nobody told of one."
        )
    others = [entry for entry in material.incident.log if entry.event == "deployment"]
    if others:
        lines.append(
            f"{len(others)} other {'change was' if len(others) == 1 else 'changes were'} deployed while it was open."
        )
    return lines
