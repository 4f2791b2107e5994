"""Drafts: what to tell leadership and users, by the playbook's principles, for a person to check and send.

Honest: an AI system did it. Specific: what, since when, until when, how much of it. Nobody else is blamed: whom we chose
is ours to answer for. And what is being done. What driftwire does not know stands in [brackets]. A draft to users names
no person, no tenant and no version, and never a text of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.playbook import failure_modes
from pipeline.correlate.revision.impact import describe_compromised_data, describe_impact
from pipeline.wording import quantity
from schemas.drift import Drift
from schemas.incident import Draft, Incident, Suspect
from schemas.timestamp import date_minute

CHECK = "DRAFT. Check every sentence, fill in what is in [brackets], and let a person send it."
PUBLIC_SEGMENTS = ("region=",)
"""The beginnings of segments that users may be told; others are counted, for a tenant's name is nobody's business."""

SUPPLIED = ("provider_status", "provider")
"""Kinds of suspects that somebody else operates for us."""

NAMED_MAX = 3
"""Products that a draft to users names; it counts the rest."""

_OUR_CAUSES: Mapping[str, str] = {
    "environment": "most likely something that they share in our own systems. [Say what is known by now.]",
    "retrieval": "most likely the search behind it did not find the information that it answers from. That is ours to "
    "keep working. [Say what is known by now.]",
    "upstream_data": "most likely the data that we give it was not as it should be, and we did not notice in time. "
    "[Say how.]",
    "input_shift": "most likely what it is asked has changed, and we were not prepared for that. [Say how.]",
}
"""By the kind of a suspect, the cause in words for users."""

_TO_LEADERSHIP = ("P1", "P2", "P3")
_TO_USERS = ("P1", "P2")


@dataclass(frozen=True, slots=True)
class DraftContext:
    """What drafts are made from: the incident, its leading drift, and when what was done about it (Unix ms, None: not).

    ``subjects`` are those that it is about, by name; of one of many the leading drift says nothing of the others.
    """

    incident: Incident
    drift: Drift
    subjects: Sequence[str]
    recovered_at: int | None = None
    rolled_back_at: int | None = None
    switched_off_at: int | None = None
    mitigated_at: int | None = None

    @property
    def is_of_many(self) -> bool:
        """Whether it is about more subjects than one."""
        return len(self.subjects) > 1


def build_drafts(matter: DraftContext, public_names: Mapping[str, str]) -> list[Draft]:
    """The drafts for an incident as it is now: to leadership from P3 up, to users from P2 up; none of a merged one."""
    incident = matter.incident
    if incident.status == "merged":
        return []
    found = []
    if incident.severity in _TO_LEADERSHIP:
        found.append(_to_leadership(matter))
    if incident.severity in _TO_USERS:
        found.append(_to_users(matter, _named(matter.subjects, public_names)))
    return found


def _to_leadership(matter: DraftContext) -> Draft:
    incident = matter.incident
    open_steps = [step for step in incident.containment if step.done_at is None]
    first = min(open_steps, key=lambda step: step.rank, default=None)
    todo = "" if first is None or incident.resolved_at else f"{first.action.replace('_', ' ')}: {first.target}. "
    where = f"in {', '.join(incident.segments)}" if incident.segments else "no part of the users stands out"
    what = "AI systems" if matter.is_of_many else "an AI system"
    paragraphs = [
        CHECK,
        f"{incident.severity} {incident.status}: {incident.title}, {what}. {_sentence(incident.severity_reason)}",
        f"What: {incident.summary}",
        f"Impact: {_when(matter)}; {_share(matter)}; {where}. [Say how many people, and what it costs them.]",
        f"Cause: {_cause_for_us(incident.suspects)}",
        f"Done: {_done(matter)}",
        f"Now: {todo}[Say who does what until when.] {_who(incident)}",
    ]
    if incident.duties:
        names = "; ".join(duty.name for duty in incident.duties)
        paragraphs.append(f"To decide, with counsel: whether there is a duty to notify ({names}).")
    paragraphs.append(f"Next: {_next(incident)} This is incident {incident.incident_id}.")
    subject = f"{incident.severity} {incident.status}: {incident.title}"
    return Draft(audience="internal", subject=subject, text="\n\n".join(paragraphs))


def _to_users(matter: DraftContext, name: str) -> Draft:
    incident, mode = matter.incident, failure_modes.failure_mode_of(matter.drift)
    happened = f"{name[:1].upper() + name[1:]}, which is an AI system, {describe_impact(mode)}."
    if matter.is_of_many:
        happened = (
            f"these AI systems of ours failed at the same time: {name}. The one that was hit worst {describe_impact(mode)}. "
            "[Say what people met in the others.]"
        )
    shown = name[:1].upper() + name[1:]
    public = [each.partition("=")[2] for each in incident.segments if each.startswith(PUBLIC_SEGMENTS)]
    where = f" in {', '.join(public)}" if public else ""
    some = " Not everybody met it: [say who did, if they may know]." if len(public) < len(incident.segments) else ""
    ahead = "[say what, and by when]."
    if incident.resolved_at is None:
        ahead = "[say what is being done now, and what is changed so that it does not happen again]."
    paragraphs = [
        CHECK,
        f"What happened: {happened} We are sorry.",
        f"When, and how much: {_when(matter)}; {_share(matter)}{where}.{some} [Say how many people.]",
        f"What it means for you: {describe_compromised_data(mode)}",
        f"Why: {_cause_for_users(matter)}",
        f"What we have done: {_done(matter)}",
        f"What we are doing{' so that it does not happen again' if incident.resolved_at else ''}: {ahead}",
        f"Next: {_next(incident)} [Say where to ask.]",
    ]
    return Draft(audience="external", subject=f"{shown}: {_state(matter)}", text="\n\n".join(paragraphs))


def _state(matter: DraftContext) -> str:
    if matter.incident.resolved_at is not None:
        return "a problem is resolved"
    if matter.recovered_at is not None:
        return "a problem has stopped, and we are watching it"
    if matter.incident.status == "mitigated":
        return "a problem is contained, and we are working on it"
    return "a problem, and we are working on it"


def _when(matter: DraftContext) -> str:
    incident = matter.incident
    since = f"since about {_moment(incident.started_at)}"
    if matter.recovered_at is not None:
        return f"from about {_moment(incident.started_at)} to {_moment(matter.recovered_at)}"
    if incident.resolved_at is not None:
        return f"{since}; closed by a person at {_moment(incident.resolved_at)}, [say whether it has stopped]"
    return f"{since}, and it is not over"


def _named(subjects: Sequence[str], public_names: Mapping[str, str]) -> str:
    """What users know the subjects as. A single one without a public name is called by its own."""
    if len(subjects) == 1:
        return public_names.get(subjects[0], subjects[0])
    known = list(dict.fromkeys(public_names[each] for each in subjects if each in public_names))[:NAMED_MAX]
    if not known:
        return "[name the products]"
    rest = sum(public_names.get(each) not in known for each in subjects)
    return f"{', '.join(known)}{f' and {rest} more [name them]' if rest else ''}"


def _who(incident: Incident) -> str:
    """Who is on it, as far as anybody said so."""
    acknowledged = f"Acknowledged by {incident.acknowledged_by}." if incident.acknowledged_by else ""
    led = f"Led by {incident.commander}." if incident.commander else ""
    if acknowledged or led:
        return " ".join(part for part in (acknowledged, led) if part)
    classified = next((each.done_at for each in incident.response_targets if each.name == "classify"), None)
    return (
        "Nobody has acknowledged it." if classified is None else "Somebody has looked at it, and nobody leads it yet."
    )


def _share(matter: DraftContext) -> str:
    drift = matter.drift
    if matter.is_of_many:
        return "[say which share of the requests, in each of them]"
    if drift.channel != "rate" or drift.side == "down":
        return "[say which share of the requests]"  # a rate that fell says how many are well, not how many are not
    now, normal = (quantity(value, drift.unit, drift.channel) for value in (drift.now, drift.normal))
    return f"{now} of the requests that were looked at, normally {normal}"


def _cause_for_us(suspects: list[Suspect]) -> str:
    first = clear_suspect(suspects)
    if first is None:
        return "not known yet."
    ours = " We chose it and integrate it: it is ours to answer for." if first.kind in SUPPLIED else ""
    return f"most likely {first.name} ({first.reason}).{ours}"


def _cause_for_users(matter: DraftContext) -> str:
    """The most likely cause as ours to answer for, whatever it is: of no supplier more than that we chose it."""
    first, them = clear_suspect(matter.incident.suspects), "them" if matter.is_of_many else "it"
    if first is None:
        return "we do not know the cause yet. [Say what is known by now.]"
    if first.kind in SUPPLIED:
        return f"most likely a service behind {them} did not work as it should. We chose it and integrate it: it is ours to put right."
    if first.deployment_id is not None and first.at is not None:
        return f"most likely a change that we made to {them} at {_moment(first.at)}."
    if first.kind == "undeclared_change":
        return (
            f"most likely a change to {them} that we did not expect. It was ours to notice. [Say what is known by now.]"
        )
    return _OUR_CAUSES.get(first.kind, _OUR_CAUSES["input_shift"])


def _done(matter: DraftContext) -> str:
    said = []
    if matter.rolled_back_at is not None:
        said.append(f"we took a change back at {_moment(matter.rolled_back_at)}")
    if matter.switched_off_at is not None:
        said.append(f"we switched it off at {_moment(matter.switched_off_at)}")
    if matter.mitigated_at is not None:
        said.append(f"we contained it at {_moment(matter.mitigated_at)}")
    if matter.recovered_at is not None:
        said.append(f"what we measure is back to normal since {_moment(matter.recovered_at)}")
    if not said:
        return "[nothing is recorded: say what was switched off, rolled back or filtered, and when]."
    return f"{'; '.join(said)}. [Say what else was done.]"


def _next(incident: Incident) -> str:
    if incident.resolved_at is not None:
        return "this is the last message unless something new turns up; [say when the review will be shared]."
    by_name = {each.name: each for each in incident.response_targets}
    later = by_name.get("next_communication")
    return f"the next message comes by {_moment(later.due_at)}." if later else "[say when the next message comes]."


def _moment(at: int) -> str:
    return f"{date_minute(at)} UTC"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
