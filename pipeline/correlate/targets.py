"""Response targets: what the playbook wants done by when, for each severity."""

from datetime import UTC, datetime, timedelta

from schemas.incident import ResponseTarget, Severity

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

CLASSIFY_MS = 15 * MINUTE_MS
SPRINT_MS = 14 * DAY_MS
REVIEW_MS = 72 * HOUR_MS
CONTAIN_MS: dict[Severity, int] = {"P1": 0, "P2": 2 * HOUR_MS}
FIRST_COMMUNICATION_MS: dict[Severity, int] = {"P1": 30 * MINUTE_MS, "P2": HOUR_MS}
_SATURDAY = 5


def response_targets(severity: Severity, detected_at: int, resolved_at: int | None) -> list[ResponseTarget]:
    """What is due by when, the most urgent first.

    All count from the detection, but the review: it counts from the resolution as soon as there is one.
    """
    targets = [_target("classify", detected_at + CLASSIFY_MS, "playbook: classify within 15 minutes of the alert")]
    if severity in ("P1", "P2"):
        contain = "immediate rollback or kill switch" if severity == "P1" else "rollback within 2 hours"
        told = "30 minutes" if severity == "P1" else "1 hour"
        targets += [
            _target("commander", detected_at + CLASSIFY_MS, "playbook: assign an incident commander with the class"),
            _target("contain", detected_at + CONTAIN_MS[severity], f"playbook: {severity}, {contain}"),
            _target(
                "first_communication",
                detected_at + FIRST_COMMUNICATION_MS[severity],
                f"playbook: {severity}, first communication within {told}",
            ),
            _target("review", (resolved_at or detected_at) + REVIEW_MS, "playbook: review within 72 hours"),
        ]
    elif severity == "P3":
        targets.append(_target("fix", next_business_day(detected_at), "playbook: P3, fix within 1 business day"))
    else:
        targets.append(_target("fix", detected_at + SPRINT_MS, "playbook: P4, review in the next sprint (14 days)"))
    return sorted(targets, key=lambda target: target.due_at)


def next_business_day(at: int) -> int:
    """The same time one business day on, Monday to Friday by UTC; a weekend's time counts as the Monday's midnight.

    >>> from schemas.timestamp import format_timestamp, parse_timestamp
    >>> format_timestamp(next_business_day(parse_timestamp("2026-11-27T15:00:00Z")))  # a Friday
    '2026-11-30T15:00:00.000Z'
    """
    moment = datetime.fromtimestamp(at // 1000, tz=UTC)
    begun = at
    while moment.weekday() >= _SATURDAY:
        moment = (moment + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        begun = int(moment.timestamp()) * 1000
    moment += timedelta(days=1)
    due = begun + DAY_MS
    while moment.weekday() >= _SATURDAY:
        moment += timedelta(days=1)
        due += DAY_MS
    return due


def _target(name: str, due_at: int, source: str) -> ResponseTarget:
    return ResponseTarget.model_validate({"name": name, "due_at": due_at, "source": source})
