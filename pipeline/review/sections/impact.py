"""Impact: the deviations of the signals, their duration, and the number of affected records."""

from pipeline.review.markdown import code, table
from pipeline.review.material import Material
from pipeline.wording import duration, percent, quantity
from schemas.incident import SignalEvidence
from schemas.timestamp import clock_time, date_time

ROWS_MAX = 8
"""Maximum number of signals in the table."""

COUNTS_MAX = 3
"""Maximum number of signals for which affected records are counted."""

SEGMENTS_MAX = 5
"""Maximum number of segments that are listed."""


def write_impact(material: Material) -> list[str]:
    """Write the lines of the section."""
    incident = material.incident
    rows = [_cells(line, material) for line in incident.evidence[:ROWS_MAX]]
    lines = table(("signal", "tier", "normal", "worst reported", "from", "until"), rows)
    more = len(incident.evidence) - ROWS_MAX
    if more > 0:
        lines += ["", f"and {more} more."]
    statements = [_time(material), *_affected_records(material), *_scope(material)]
    statements.append(
        f"To be filled in: what users of {code(incident.subject)} and the business noticed. [product owner]"
    )
    return [*lines, "", *(f"- {text}" for text in statements)]


def _cells(line: SignalEvidence, material: Material) -> tuple[str, ...]:
    history = material.history(line)
    worst, recovered_at = history.worst, history.recovered_at
    if line.state == "firing":
        until = "not recovered"
    else:
        until = "recovered, time unknown" if recovered_at is None else date_time(recovered_at)
    if line.state == "recovered" and worst is None:
        worst_reported = "unknown"
    else:
        worst_reported = quantity(line.now if worst is None else worst.now, line.unit, line.channel)
    name = code(line.signal) if line.channel == "rate" else f"{code(line.signal)} ({code(line.channel)})"
    normal = quantity(line.normal, line.unit, line.channel)
    return f"{name} {line.side}", line.tier, normal, worst_reported, date_time(line.started_at), until


def _time(material: Material) -> str:
    incident, recovered_at = material.incident, material.recovered_at
    start = date_time(incident.started_at)
    if recovered_at is not None:
        lasted = duration((recovered_at - incident.started_at) / 1000)
        return f"It lasted {lasted}, from {start} until the last signal recovered at {date_time(recovered_at)}."
    lasted = duration((material.end - incident.started_at) / 1000)
    if material.is_open:
        return f"It has lasted {lasted} so far, since {start}."
    return f"It lasted {lasted}. According to the messages, not all signals recovered before the end."


def _affected_records(material: Material) -> list[str]:
    lines = []
    for line in material.signals:
        counted = material.history(line).affected_records()
        if counted is None:
            continue
        more = counted.affected - counted.expected
        lines.append(
            f"{counted.records:,} records reported {code(line.signal)} from {clock_time(counted.begins_at)} to "
            f"{clock_time(counted.ends_at)}. It was true for about {counted.affected:,.0f} of them, and "
            f"{counted.expected:,.0f} would be normal: {abs(more):,.0f} {'more' if more >= 0 else 'fewer'}."
        )
    if not lines:
        return ["The number of affected records is unknown: no message contains record counts for a rate."]
    return lines[:COUNTS_MAX]


def _scope(material: Material) -> list[str]:
    """Describe the affected records: all records of the subject, or segments with their share of its records."""
    drift_ids = {line.drift_id for line in material.incident.evidence}
    shares = {drift.segment: drift.traffic_share for drift in material.drifts if drift.drift_id in drift_ids}
    segments = sorted(segment for segment in shares if segment)
    subject = code(material.incident.subject)
    if "" in shares:
        return [f"It was detected in the records of {subject} as a whole."]
    if not segments:
        return []
    named = ", ".join(f"{code(name)} ({percent(shares[name])} of the records)" for name in segments[:SEGMENTS_MAX])
    return [f"It was detected only in segments of {subject}: {named}."]
