"""Reminders: log lines about targets that are overdue by the incident's clock, one per target and due time.

The time of a reminder is the time at which its target became overdue, even if the tick that adds it arrives late. The
same history therefore gives the same log. Only a duty to notify also has a reminder before its deadline, because
afterwards it is too late. A target that was met in time has no reminder. Nobody is woken for a P3 or P4, so their
classification has no reminder. A resolved incident has reminders only for its review and for duties to notify.
"""

from collections.abc import Iterator

from pipeline.correlate.incidents import IncidentState, Reminder
from pipeline.correlate.playbook import ResponseTimes
from pipeline.correlate.response.notifications_due import notifications_due
from pipeline.correlate.response.targets import LEADERSHIP, response_progress, response_targets
from pipeline.correlate.settings import CorrelateSettings
from schemas.incident import Duty, ResponseTarget
from schemas.timestamp import LATEST_MS, format_timestamp

AT_ONCE_MS = 300_000
"""Milliseconds until the reminder for a target that is due immediately. A kill switch needs less time."""

DECIDE_WITHIN_MS = 24 * 3_600_000
"""Milliseconds from the first reminder of a duty to its deadline, but at most half of the total time."""

REMINDERS_MAX = 100
"""Maximum total number of reminders per incident."""

NEVER = LATEST_MS + 1
"""Time in Unix ms that is later than any clock."""

TARGETS_AFTER_RESOLUTION = ("review",)
"""Targets that a resolved incident still has."""

_SENTENCES = {
    "classify": "classification was due at {due} and nobody has acknowledged or classified the incident: run "
    "`driftwire incident ack {id}` or `driftwire incident classify {id}`",
    "commander": "an incident commander was due at {due} and none is assigned: run "
    "`driftwire incident assign {id} NAME`",
    "contain": "containment was due at {due} and no mitigation, rollback or kill switch is recorded: "
    "switch the feature off or roll back",
    "first_communication": "the first communication was due at {due} and is not recorded: inform leadership, then run "
    "`driftwire incident note {id} --communicated internal`",
    "next_communication": "the next communication was due at {due} and is not recorded: inform leadership, then run "
    "`driftwire incident note {id} --communicated internal`",
    "fix": "the fix was due at {due} and the incident is open: fix it or reclassify it",
    "review": "the review is due at {due}: hold it if it has not taken place",
}


def add_due_reminders(incident: IncidentState, now: int, settings: CorrelateSettings) -> bool:
    """Add the reminders that are due at a time (Unix ms). Return True if any reminder is new.

    The function also records the first communication, and the time before which no reminder is due.
    """
    if incident.first_communicated_at is None:
        incident.first_communicated_at = incident.communicated.get(LEADERSHIP)
    given = {(reminder.name, reminder.due_at) for reminder in incident.reminders}
    pending = sorted(
        (reminder for reminder in _all_reminders(incident, settings) if (reminder.name, reminder.due_at) not in given),
        key=lambda reminder: (reminder.at, reminder.name),
    )
    due = [reminder for reminder in pending if reminder.at <= now][: REMINDERS_MAX - len(incident.reminders)]
    incident.reminders = [*incident.reminders, *due]
    incident.next_reminder_at = next((reminder.at for reminder in pending if reminder.at > now), NEVER)
    return bool(due)


def format_moment(at: int, day: int) -> str:
    """Format a UTC time to the minute, with its date unless it falls on the date of ``day``. Both times are Unix ms.

    >>> format_moment(1795489920123, 1795489920123), format_moment(1795589920123, 1795489920123)
    ('03:12Z', '2026-11-25 06:58Z')
    """
    date, _, time = format_timestamp(at).partition("T")
    return f"{time[:5]}Z" if format_timestamp(day).startswith(date) else f"{date} {time[:5]}Z"


def _all_reminders(incident: IncidentState, settings: CorrelateSettings) -> Iterator[Reminder]:
    """Yield all past and future reminders of an incident, according to its current state."""
    if incident.status == "merged":
        return
    plan = ResponseTimes.from_configuration(incident.severity, settings.response)
    for target in response_targets(response_progress(incident), plan, settings.business_hours):
        if target.name == "next_communication":
            interval = round((plan.next_communication_s or 0) * 1000)
            yield from _communication_reminders(incident, target, interval, settings.reminders_max)
        elif target.name != "classify" or incident.severity in ("P1", "P2"):
            is_at_once = target.name == "contain" and plan.contain_s == 0
            at = target.due_at + (AT_ONCE_MS if is_at_once else 0)
            was_contained = target.name == "contain" and incident.was_contained(at)
            is_met = was_contained or (target.done_at is not None and target.done_at <= at)
            is_over = (
                incident.resolved_at is not None
                and incident.resolved_at <= at
                and target.name not in TARGETS_AFTER_RESOLUTION
            )
            if not is_met and not is_over:
                yield _reminder(incident, target.name, target.due_at, at)
    for duty in notifications_due(incident, settings.regimes):
        if duty.due_at is not None:
            yield from _duty_reminders(duty, duty.due_at, incident.detected_at)


def _communication_reminders(
    incident: IncidentState, target: ResponseTarget, interval: int, reminders_max: int
) -> Iterator[Reminder]:
    """Yield one reminder per missed communication, at most ``reminders_max`` in a row while nobody acts."""
    active_since = max(incident.last_action_at, incident.last_logged_at.get("reopened", 0))
    first = target.due_at + max(0, (active_since - target.due_at) // interval + 1) * interval
    for number in range(1, reminders_max + 1):
        at = first + (number - 1) * interval
        if at >= min(NEVER, incident.resolved_at or NEVER):
            return
        reminder = _reminder(incident, "next_communication", at, at)
        last = f"; {number} reminders in a row without any action: no more follow until somebody acts"
        yield reminder if number < reminders_max else Reminder("next_communication", at, at, reminder.text + last)


def _reminder(incident: IncidentState, name: str, due_at: int, at: int) -> Reminder:
    due = format_moment(due_at, incident.detected_at)
    return Reminder(name, due_at, at, _SENTENCES[name].format(due=due, id=incident.incident_id))


def _duty_reminders(duty: Duty, due_at: int, detected_at: int) -> Iterator[Reminder]:
    """Yield one reminder while there is time to decide, and another at the deadline."""
    due, task = format_moment(due_at, detected_at), "decide whether it applies, and record the decision"
    ahead = due_at - min(DECIDE_WITHIN_MS, (due_at - detected_at) // 2)
    yield Reminder(f"before {duty.name}", due_at, ahead, f"{duty.name} may apply and is due at {due}: {task}")
    yield Reminder(duty.name, due_at, due_at, f"{duty.name} may apply and its deadline passed at {due}: {task}")
