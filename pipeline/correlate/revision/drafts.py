"""Drafts of messages to leadership and users, according to the playbook's principles. A person checks and sends them.

Drafts are honest: an AI system failed. They are specific about the failure, its start and end, and its extent. They do
not blame anyone else: we are responsible for our choices. They describe current actions. Unknown facts are in
[brackets]. A draft for users contains no names of people, tenants or versions, and no text that a user wrote.
"""

from collections.abc import Mapping, Sequence

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.revision.impact import describe_compromised_data, describe_impact
from pipeline.wording import quantity
from schemas.drift import MINUTE_MS, Drift
from schemas.incident import Draft, DraftFacts, Incident, Suspect
from schemas.timestamp import date_minute

CHECK = "DRAFT. Before a person sends this, check every sentence and fill in what is in [brackets]."
PUBLIC_SEGMENTS = ("region=",)
"""Prefixes of segments that users may see. Other segments are omitted, because they may identify a tenant."""

SUPPLIED = ("provider_status", "provider")
"""Kinds of suspects that another organisation operates."""

NAMED_MAX = 3
"""Maximum number of products that a draft for users lists. The rest are only counted."""

_OUR_CAUSES: Mapping[str, str] = {
    "environment": "most likely something in our own systems that they share. [Say what is known so far.]",
    "retrieval": "most likely the search behind it did not find the information that its answers are based on. We are "
    "responsible for that search. [Say what is known so far.]",
    "upstream_data": "most likely the data that we give it was not as it should be, and we did not notice in time. "
    "[Say how.]",
    "input_shift": "most likely the requests to it have changed, and we were not prepared for that. [Say how.]",
}
"""Descriptions of the cause for users, by kind of suspect."""

_TO_LEADERSHIP = ("P1", "P2", "P3")
_TO_USERS = ("P1", "P2")


def draft_facts(
    incident: Incident,
    drift: Drift,
    subjects: Sequence[str],
    public_names: Mapping[str, str],
    times: Mapping[str, int | None],
) -> DraftFacts | None:
    """Return the facts for the drafts of an incident, or None if it needs no message.

    P1 to P3 have a draft to leadership, P1 and P2 also one to users, and merged incidents none.

    Parameters
    ----------
    incident
        The revision.
    drift
        Its leading drift. If there are many subjects, it applies to only one of them.
    subjects
        Names of its subjects.
    public_names
        Names by which users know subjects.
    times
        Times (Unix ms) of the recovery and of what contained the incident, by field of :class:`DraftFacts`.
    """
    if incident.status == "merged" or incident.severity not in _TO_LEADERSHIP:
        return None
    is_for_users = incident.severity in _TO_USERS
    return DraftFacts(
        failure_mode=failure_modes.failure_mode_of(drift).name if is_for_users else "",
        share=_share(drift, has_many_subjects=len(subjects) > 1),
        products=_products(subjects, public_names) if is_for_users else "",
        **{name: None if at is None else at - at % MINUTE_MS for name, at in times.items()},
    )


def build_drafts(incident: Incident) -> list[Draft]:
    """Return the drafts for an incident. An incident that an earlier version wrote contains its drafts."""
    facts = incident.draft_facts
    if facts is None:
        return incident.drafts
    drafts = [_to_leadership(incident, facts)]
    if incident.severity in _TO_USERS:
        drafts.append(_to_users(incident, facts))
    return drafts


def add_drafts(incident: Incident) -> Incident:
    """Return an incident with its drafts in place of the facts for them."""
    return incident.model_copy(update={"drafts": build_drafts(incident), "draft_facts": None})


def _to_leadership(incident: Incident, facts: DraftFacts) -> Draft:
    open_steps = [step for step in incident.containment if step.done_at is None]
    first = min(open_steps, key=lambda step: step.rank, default=None)
    todo = "" if first is None or incident.resolved_at else f"{first.action.replace('_', ' ')}: {first.target}. "
    where = f"in {', '.join(incident.segments)}" if incident.segments else "no segment stands out"
    system = "AI systems" if _has_many_subjects(incident) else "an AI system"
    paragraphs = [
        CHECK,
        f"{incident.severity} {incident.status}: {incident.title}, {system}. {_sentence(incident.severity_reason)}",
        f"What: {incident.summary}",
        f"Impact: {_time_span(incident, facts)}; {facts.share}; {where}. [Say how many people, and what it costs them.]",
        f"Cause: {_cause_for_leadership(incident.suspects)}",
        f"Done: {_done(facts)}",
        f"Now: {todo}[Say who does what by when.] {_responders(incident)}",
    ]
    if incident.duties:
        names = "; ".join(duty.name for duty in incident.duties)
        paragraphs.append(f"To decide with counsel: whether there is a duty to notify ({names}).")
    paragraphs.append(f"Next: {_next_message(incident)} This is incident {incident.incident_id}.")
    subject = f"{incident.severity} {incident.status}: {incident.title}"
    return Draft(audience="internal", subject=subject, text="\n\n".join(paragraphs))


def _to_users(incident: Incident, facts: DraftFacts) -> Draft:
    products, mode = facts.products, failure_modes.find_mode(facts.failure_mode)
    shown = products[:1].upper() + products[1:]
    happened = f"{shown}, which is an AI system, {describe_impact(mode)}."
    if _has_many_subjects(incident):
        happened = (
            f"several of our AI systems failed at the same time: {products}. The most affected of them "
            f"{describe_impact(mode)}. [Say how the others were affected.]"
        )
    public = [segment.partition("=")[2] for segment in incident.segments if segment.startswith(PUBLIC_SEGMENTS)]
    where = f" in {', '.join(public)}" if public else ""
    is_partial = len(public) < len(incident.segments)
    partial = " Not everyone was affected: [say who was, if that may be disclosed]." if is_partial else ""
    next_steps = "What we are doing to prevent this in future: [say what, and by when]."
    if incident.resolved_at is None:
        next_steps = "What we are doing: [say what is being done now, and what will change so that it does not recur]."
    paragraphs = [
        CHECK,
        f"What happened: {happened} We are sorry.",
        f"When, and how much: {_time_span(incident, facts)}; {facts.share}{where}.{partial} [Say how many people.]",
        f"What it means for you: {describe_compromised_data(mode)}",
        f"Why: {_cause_for_users(incident)}",
        f"What we have done: {_done(facts)}",
        next_steps,
        f"Next: {_next_message(incident)} [Say where to ask.]",
    ]
    return Draft(audience="external", subject=f"{shown}: {_state(incident, facts)}", text="\n\n".join(paragraphs))


def _has_many_subjects(incident: Incident) -> bool:
    return incident.subject_count > 1


def _state(incident: Incident, facts: DraftFacts) -> str:
    if incident.resolved_at is not None:
        return "a problem is resolved"
    if facts.recovered_at is not None:
        return "a problem has stopped, and we are monitoring it"
    if incident.status == "mitigated":
        return "a problem is contained, and we are working on it"
    return "we are working on a problem"


def _time_span(incident: Incident, facts: DraftFacts) -> str:
    since = f"since about {_moment(incident.started_at)}"
    if facts.recovered_at is not None:
        return f"from about {_moment(incident.started_at)} to {_moment(facts.recovered_at)}"
    if incident.resolved_at is not None:
        return f"{since}; closed by a person at {_moment(incident.resolved_at)}, [say whether it has stopped]"
    return f"{since}, and it continues"


def _products(subjects: Sequence[str], public_names: Mapping[str, str]) -> str:
    """Return the names by which users know the subjects.

    A single subject without a public name appears under its own name.
    """
    if len(subjects) == 1:
        return public_names.get(subjects[0], subjects[0])
    names = [public_names[subject] for subject in subjects if subject in public_names]
    shown = list(dict.fromkeys(names))[:NAMED_MAX]
    if not shown:
        return "[name the products]"
    rest = sum(public_names.get(subject) not in shown for subject in subjects)
    return f"{', '.join(shown)}{f' and {rest} more [name them]' if rest else ''}"


def _responders(incident: Incident) -> str:
    acknowledged = f"Acknowledged by {incident.acknowledged_by}." if incident.acknowledged_by else ""
    led = f"Led by {incident.commander}." if incident.commander else ""
    if acknowledged or led:
        return " ".join(part for part in (acknowledged, led) if part)
    classified_at = next((target.done_at for target in incident.response_targets if target.name == "classify"), None)
    return (
        "Nobody has acknowledged it."
        if classified_at is None
        else "Somebody has looked at it, but nobody is leading it yet."
    )


def _share(drift: Drift, *, has_many_subjects: bool) -> str:
    if has_many_subjects:
        return "[say which share of the requests, in each of them]"
    if drift.channel != "rate" or drift.side == "down":
        return "[say which share of the requests]"  # If a rate is bad when it falls, it is the share of good requests.
    now, normal = (quantity(value, drift.unit, drift.channel) for value in (drift.now, drift.normal))
    measured = "at worst" if drift.state == "recovered" else phrases.describe_measurement(drift, date_minute)
    return f"{now} of the monitored requests {measured}, normally {normal}"


def _cause_for_leadership(suspects: list[Suspect]) -> str:
    first = clear_suspect(suspects)
    if first is None:
        return "not known yet."
    ours = " We chose and integrated it, so we are responsible for it." if first.kind in SUPPLIED else ""
    return f"most likely {first.name} ({first.reason}).{ours}"


def _cause_for_users(incident: Incident) -> str:
    """Describe the most likely cause as our responsibility. Suppliers are not named, because we chose them."""
    first, system = clear_suspect(incident.suspects), "them" if _has_many_subjects(incident) else "it"
    if first is None:
        return "we do not know the cause yet. [Say what is known so far.]"
    if first.kind in SUPPLIED:
        return (
            f"most likely a service behind {system} did not work as it should. We chose and integrated that service, "
            "and we are responsible for putting this right."
        )
    if first.deployment_id is not None and first.at is not None:
        return f"most likely a change that we made to {system} at {_moment(first.at)}."
    if first.kind == "undeclared_change":
        unexpected = f"most likely a change to {system} that we did not expect and should have noticed."
        return f"{unexpected} [Say what is known so far.]"
    return _OUR_CAUSES.get(first.kind, _OUR_CAUSES["input_shift"])


def _done(facts: DraftFacts) -> str:
    parts = []
    if facts.rolled_back_at is not None:
        parts.append(f"we reverted a change at {_moment(facts.rolled_back_at)}")
    if facts.switched_off_at is not None:
        parts.append(f"we switched it off at {_moment(facts.switched_off_at)}")
    if facts.mitigated_at is not None:
        parts.append(f"we contained it at {_moment(facts.mitigated_at)}")
    if facts.recovered_at is not None:
        parts.append(f"our measurements have been back to normal since {_moment(facts.recovered_at)}")
    if not parts:
        return "[nothing is recorded: say what was switched off, rolled back or filtered, and when]."
    return f"{'; '.join(parts)}. [Say what else was done.]"


def _next_message(incident: Incident) -> str:
    if incident.resolved_at is not None:
        return "this is the last message unless something new turns up; [say when the review will be shared]."
    targets = {target.name: target for target in incident.response_targets}
    target = targets.get("next_communication")
    return f"the next message comes by {_moment(target.due_at)}." if target else "[say when the next message comes]."


def _moment(at: int) -> str:
    return f"{date_minute(at)} UTC"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
