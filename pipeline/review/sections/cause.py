"""Root cause: driftwire's analysis for people to confirm, and questions that only people can answer."""

from pipeline.correlate.causes import clear_suspect
from pipeline.review.markdown import code, escape
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.incident import Suspect
from schemas.timestamp import date_time

OTHERS_MAX = 4
"""Maximum number of suspects in addition to the leading suspect."""

_ORGANISATION = (
    "**Contributing causes in the organisation.** To be filled in: what let the change through, what delayed the "
    "detection, and what delayed the containment. Ask about systems, habits and gaps, not about a person. "
    "[incident commander]"
)


def write_cause(material: Material) -> list[str]:
    """Write the lines of the section."""
    suspects = material.incident.suspects
    leading = clear_suspect(suspects)
    lines = ["**Technical cause.** Driftwire's view, to be confirmed or corrected. [technical lead]", ""]
    if leading is None:
        lines.append("- Inconclusive: no suspect stands out.")
    else:
        lines.append(f"- Leading suspect: **{escape(leading.name)}**, {_score(leading)}.")
        lines += [f"- {text}" for text in _effect_of_rollback(leading, material)]
    others = [suspect for suspect in suspects if suspect is not leading]
    label = "Also considered" if leading else "Considered"
    lines += [f"- {label}: {escape(suspect.name)}, {_score(suspect)}." for suspect in others[:OTHERS_MAX]]
    if len(others) > OTHERS_MAX:
        lines.append(f"- and {len(others) - OTHERS_MAX} more.")
    return [*lines, "", _ORGANISATION]


def _score(suspect: Suspect) -> str:
    return f"score {suspect.score:.2f}: {escape(suspect.reason)}"


def _effect_of_rollback(suspect: Suspect, material: Material) -> list[str]:
    """Describe whether the rollback of a suspect confirms the suspect as the cause."""
    if suspect.deployment_id is None:
        return []
    rollback, recovered_at = material.find_rollback(suspect), material.recovered_at
    if rollback is None:
        if recovered_at is None:
            return []
        return [f"The signals recovered at {date_time(recovered_at)} without a known rollback of it. What ended it?"]
    reverted = f"{code(rollback.deployment_id)} reverted it at {date_time(rollback.timestamp)}"
    if recovered_at is None:
        return [f"{reverted}. Not all signals have recovered, so this does not confirm it yet."]
    if recovered_at < rollback.timestamp:
        return [f"{reverted}, after the signals had recovered at {date_time(recovered_at)}. This does not confirm it."]
    later = duration((recovered_at - rollback.timestamp) / 1000)
    return [f"{reverted}, and the last signal recovered {later} later, which supports it."]
