"""Root cause: the machine's view of it, for people to confirm, and what they alone can add."""

from pipeline.correlate.causes import clear_suspect
from pipeline.review.markdown import code, escaped, moment
from pipeline.review.material import Material
from pipeline.wording import duration
from schemas.incident import Suspect

FURTHER_MAX = 4
"""Suspects that are named beside the first."""


def cause(material: Material) -> list[str]:
    """The lines of the section."""
    suspects = material.incident.suspects
    leading = clear_suspect(suspects)
    lines = ["**Technical cause.** This is the machine's view, to be confirmed or corrected. [technical lead]", ""]
    if leading is None:
        lines.append("- Inconclusive: no suspect stands out, and none is guessed.")
    else:
        lines += [
            f"- Leading suspect: **{escaped(leading.name)}**, score {leading.score:.2f}: {escaped(leading.reason)}."
        ]
        lines += [f"- {text}" for text in after_rollback(leading, material)]
    further = [suspect for suspect in suspects if suspect is not leading]
    lines += [
        f"- {'Also looked at' if leading else 'Nearest'}: {escaped(each.name)}, score {each.score:.2f}: {escaped(each.reason)}."
        for each in further[:FURTHER_MAX]
    ]
    if len(further) > FURTHER_MAX:
        lines.append(f"- and {len(further) - FURTHER_MAX} more.")
    return [
        *lines,
        "",
        (
            "**Contributing causes in the organisation.** To be filled in: what let the change through, what delayed seeing it, "
            "and what delayed containing it. Ask for systems, habits and gaps, not for a person. [incident commander]"
        ),
    ]


def after_rollback(suspect: Suspect, material: Material) -> list[str]:
    """What the rollback of a suspect says of it."""
    if suspect.deployment_id is None:
        return []
    rolled, back = material.rollback_of(suspect), material.recovered_at
    if rolled is None:
        if back is None:
            return []
        return [f"The signals came back at {moment(back)} and no rollback of it is at hand: what else ended it?"]
    what = f"It was taken back by {code(rolled.deployment_id)} at {moment(rolled.timestamp)}"
    if back is None:
        return [f"{what}, and not all signals are back: so far this does not confirm it."]
    if back < rolled.timestamp:
        return [f"{what}, after the signals had come back at {moment(back)}: this does not confirm it."]
    later = duration((back - rolled.timestamp) / 1000)
    return [f"{what}, and the last signal was back {later} later, which supports it."]
