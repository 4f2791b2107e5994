"""Reminders: what is overdue by an incident's clock, said once each, as lines of its log.

A reminder is dated to the moment when the thing became overdue, however late a tick says so, so that the same history
gives the same log. Only of a duty to notify one is reminded before as well: when its time is over, it is too late. An answered target gives none. A P3 or P4 is no reason to wake anybody: of its targets only those
are reminded that count in business days, and whatever the configuration adds. A resolved incident is reminded of its
review and of the duties that outlive it.
"""

from collections.abc import Iterator

from pipeline.correlate.incidents import IncidentState, Reminder
from pipeline.correlate.playbook import response_times_for
from pipeline.correlate.response.notifications_due import notifications_due
from pipeline.correlate.response.targets import LEADERSHIP, response_progress, response_targets
from pipeline.correlate.settings import CorrelateSettings
from schemas.incident import Duty, ResponseTarget
from schemas.timestamp import LATEST_MS, format_timestamp

AT_ONCE_MS = 300_000
"""Milliseconds after which one is reminded of what is due at once: a kill switch works within five minutes."""

DECIDE_WITHIN_MS = 24 * 3_600_000
"""Milliseconds before the deadline of a duty from which one is reminded of it; half of what a shorter one gives."""

REMINDERS_KEPT_MAX = 100
"""Reminders of one incident, all in all; after that it is silent."""

NEVER = LATEST_MS + 1
"""Unix ms: later than any clock."""

OUTLIVES = ("review",)
"""Targets of an incident that has been resolved."""

_ASKS = {
    "classify": "was due at {due} and nobody has acknowledged or classified it: `driftwire incident ack {id}` or `classify {id}`",
    "commander": "was due at {due} and nobody is named: `driftwire incident assign {id} NAME`",
    "contain": "was due at {due} and no mitigation, rollback or kill switch is known: switch the feature off or roll back",
    "first_communication": "was due at {due} and is not recorded: tell leadership, then "
    "`driftwire incident note {id} --communicated internal`",
    "next_communication": "was due at {due} and is not recorded: tell leadership, then "
    "`driftwire incident note {id} --communicated internal`",
    "fix": "was due at {due} and the incident is open: fix it, or classify it anew",
    "review": "is due at {due}: hold it if that has not been done",
}
_NAMED = {"commander": "an incident commander", "classify": "classification", "contain": "containment"}


def add_due_reminders(facts: IncidentState, now: int, settings: CorrelateSettings) -> bool:
    """Give the reminders that are due by a clock, in Unix ms; whether there was a new one.

    It also notes when the first communication was, and until when there is nothing to remind of.
    """
    if facts.first_communicated_at is None:
        facts.first_communicated_at = facts.communicated.get(LEADERSHIP)
    given = {(each.name, each.due_at) for each in facts.reminders}
    coming = sorted(
        (each for each in _coming(facts, settings) if (each.name, each.due_at) not in given),
        key=lambda each: (each.at, each.name),
    )
    due = [each for each in coming if each.at <= now][: REMINDERS_KEPT_MAX - len(facts.reminders)]
    facts.reminders = [*facts.reminders, *due]
    facts.next_reminder_at = next((each.at for each in coming if each.at > now), NEVER)
    return bool(due)


def _coming(facts: IncidentState, settings: CorrelateSettings) -> Iterator[Reminder]:
    """All reminders that the facts call for, past and to come, unless something answers them before."""
    if facts.status == "merged":
        return
    plan = response_times_for(facts.severity, settings.response)
    for target in response_targets(response_progress(facts), plan, settings.business_hours):
        if target.name == "next_communication":
            yield from _next(facts, target, round((plan.next_communication_s or 0) * 1000), settings.reminders_max)
        elif target.name != "classify" or facts.severity in ("P1", "P2"):
            is_at_once = target.name == "contain" and plan.contain_s == 0
            at = target.due_at + (AT_ONCE_MS if is_at_once else 0)
            was_contained = target.name == "contain" and facts.was_contained(at)
            is_answered = was_contained or (target.done_at is not None and target.done_at <= at)
            is_over = facts.resolved_at is not None and facts.resolved_at <= at and target.name not in OUTLIVES
            if not is_answered and not is_over:
                yield _reminder(facts, target.name, target.due_at, at)
    for duty in notifications_due(facts, settings.regimes):
        if duty.due_at is not None:
            yield from _of_duty(duty, duty.due_at, facts.detected_at)


def _next(facts: IncidentState, target: ResponseTarget, interval: int, reminders_max: int) -> Iterator[Reminder]:
    """One for each communication missed, until so many in a row were and nobody did anything."""
    awake = max(facts.last_action_at, facts.last_logged_at.get("reopened", 0))
    first = target.due_at + max(0, (awake - target.due_at) // interval + 1) * interval
    for number in range(1, reminders_max + 1):
        at = first + (number - 1) * interval
        if at >= min(NEVER, facts.resolved_at or NEVER):
            return
        reminder = _reminder(facts, "next_communication", at, at)
        silent = f"; {number} in a row without anybody doing anything: no more of these until somebody does"
        yield reminder if number < reminders_max else Reminder("next_communication", at, at, reminder.text + silent)


def _reminder(facts: IncidentState, name: str, due_at: int, at: int) -> Reminder:
    head = _NAMED.get(name, f"the {name.replace('_', ' ')}")
    asked = _ASKS[name].format(due=format_moment(due_at, facts.detected_at), id=facts.incident_id)
    return Reminder(name, due_at, at, f"{head} {asked}")


def _of_duty(duty: Duty, due_at: int, detected_at: int) -> Iterator[Reminder]:
    """One while there is time to decide, and one when there is none any more."""
    due, decide = format_moment(due_at, detected_at), "decide whether it does, and record what was decided"
    ahead = due_at - min(DECIDE_WITHIN_MS, (due_at - detected_at) // 2)
    yield Reminder(f"before {duty.name}", due_at, ahead, f"{duty.name} may apply, and is due at {due}: {decide}")
    yield Reminder(duty.name, due_at, due_at, f"{duty.name} may apply, and its time ended at {due}: {decide}")


def format_moment(at: int, day: int) -> str:
    """A moment in UTC, to the minute; without its date where that is the date of ``day``.

    >>> moment(1795489920123, 1795489920123), moment(1795589920123, 1795489920123)
    ('03:12Z', '2026-11-25 06:58Z')
    """
    date, _, time = format_timestamp(at).partition("T")
    return f"{time[:5]}Z" if format_timestamp(day).startswith(date) else f"{date} {time[:5]}Z"
