"""Impact: how far which signals were off, for how long, and how many records that hit, where the drifts know."""

from pipeline.review.markdown import code, moment, table
from pipeline.review.material import Material
from pipeline.review.minutes import Hit, hit, worst
from pipeline.wording import duration, quantity
from schemas.incident import SignalEvidence
from schemas.timestamp import clock_time

ROWS_MAX = 8
"""Signals in the table; it says how many more there are."""

HITS_MAX = 3
"""Signals of which the records hit are told."""


def impact(material: Material) -> list[str]:
    """The lines of the section."""
    incident = material.incident
    rows = [_cells(line, material) for line in incident.evidence[:ROWS_MAX]]
    lines = table(("signal", "tier", "normally", "at worst reported", "off from", "until"), rows)
    more = len(incident.evidence) - ROWS_MAX
    if more > 0:
        lines += ["", f"and {more} more."]
    said = [_how_long(material), *_hits(material), *_share(material)]
    said.append(f"To be filled in: what users of {code(incident.subject)} and the business noticed. [product owner]")
    return [*lines, "", *(f"- {text}" for text in said)]


def _cells(line: SignalEvidence, material: Material) -> tuple[str, ...]:
    messages = material.messages(line.drift_id)
    state = worst(messages)
    far = line.now if state is None else state.now
    back = [each.updated_at for each in messages if each.state == "recovered"]
    until = "not back" if line.state == "firing" else moment(back[-1]) if back else "back, the message is gone"
    name = code(line.signal) if line.channel == "rate" else f"{code(line.signal)} ({code(line.channel)})"
    if line.state == "recovered" and state is None:
        worst_reported = "the messages are gone"
    else:
        worst_reported = quantity(far, line.unit, line.channel)
    return (
        f"{name} {line.side}", line.tier, quantity(line.normal, line.unit, line.channel), worst_reported,
        moment(line.started_at), until,
    )  # fmt: skip


def _how_long(material: Material) -> str:
    incident, back = material.incident, material.recovered_at
    if back is not None:
        lasted = duration((back - incident.started_at) / 1000)
        return (
            f"It lasted {lasted}, from {moment(incident.started_at)} until the last signal was back at {moment(back)}."
        )
    lasted = duration((material.end - incident.started_at) / 1000)
    if material.is_open:
        return f"It has lasted {lasted} so far, since {moment(incident.started_at)}."
    return (
        f"From the start to the end of the incident {lasted} passed; not all signals were back by then, as far as the "
        "messages tell."
    )


def _hits(material: Material) -> list[str]:
    found = [(line, hit(material.messages(line.drift_id))) for line in material.lines]
    told = [_hit(line, each) for line, each in found if each is not None]
    if not told:
        return ["How many records were hit is not known: no message at hand counts them for a rate."]
    return told[:HITS_MAX]


def _hit(line: SignalEvidence, found: Hit) -> str:
    more = found.had - found.normal
    return (
        f"{found.records:,} records carried {code(line.signal)} from {clock_time(found.begins_at)} to "
        f"{clock_time(found.ends_at)}. It was true of about {found.had:,.0f} of them, where {found.normal:,.0f} would be "
        f"normal: {abs(more):,.0f} {'more' if more >= 0 else 'fewer'}."
    )


def _share(material: Material) -> list[str]:
    """Of whom: all of the subject, or segments with their share of its records."""
    ids = {line.drift_id for line in material.incident.evidence}
    shares = {drift.segment: drift.traffic_share for drift in material.drifts if drift.drift_id in ids}
    segments = sorted(segment for segment in shares if segment)
    subject = code(material.incident.subject)
    if "" in shares:
        return [f"It showed in the records of {subject} as a whole."]
    if not segments:
        return []
    named = ", ".join(f"{code(segment)} ({100 * shares[segment]:.3g} % of the records)" for segment in segments[:5])
    return [f"It showed in segments of {subject} alone: {named}."]
