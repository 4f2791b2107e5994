"""Status as a table for people and as JSON for programs."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from pipeline.detect.learning_progress import LearningProgress
from pipeline.detect.record_check import describe_bad_fields, describe_look_alikes
from pipeline.detect.settings import DetectSettings
from pipeline.wording import duration, percent
from schemas.timestamp import clock_time, date_minute, format_timestamp
from topologies.console import plain_line
from topologies.status.subject_status import Status, SubjectStatus

DETECT_ALIVE_S = 15.0
"""Maximum age of the last checkpoint, in seconds, at which detect counts as running. It writes one every few seconds."""

FIELDS_SHOWN = 1
"""Number of bad fields, and of look-alike fields, that are shown per subject without details."""

_DAY_MS = 86_400_000


def render_status(status: Status, settings: DetectSettings, now_ms: int, *, details: bool) -> RenderableType:
    """Return a table with one row per subject, and lines about all subjects.

    Parameters
    ----------
    settings
        Requirements of a ready baseline.
    now_ms
        Wall-clock time in Unix milliseconds.
    details
        List all bad fields and unknown fields that look like a known one, not only the worst of each subject.
    """
    parts: list[RenderableType] = []
    if status.subjects:
        parts.append(_table(status.subjects, now_ms))
    if any(subject.learning is not None for subject in status.subjects):
        parts.append(
            plain_line(
                f"a value needs {settings.ready_records:,} records to be monitored, a rate "
                f"{settings.ready_records_rate:,} (detect.ready_records, detect.ready_records_rate)"
            )
        )
    parts += [
        plain_line(f"{subject.subject} is sampled by outcome: signals that depend on the outcome are not monitored")
        for subject in status.subjects
        if subject.is_sampled
    ]
    shown = None if details else FIELDS_SHOWN
    for subject in status.subjects:
        bad_fields, look_alikes = describe_bad_fields(subject.bad_fields), describe_look_alikes(subject.look_alikes)
        parts += [plain_line(f"{subject.subject}: {line}") for line in bad_fields[:shown] + look_alikes[:shown]]
    is_complete = all(
        max(len(subject.bad_fields), len(subject.look_alikes)) <= FIELDS_SHOWN for subject in status.subjects
    )
    if not (details or is_complete):
        parts.append(plain_line("driftwire status --subject NAME lists the other fields of a subject"))
    return Group(*parts, *(plain_line(line) for line in _fleet_lines(status, now_ms)))


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as JSON types."""
    return {
        "kafka": status.kafka,
        "records": status.records,
        "dead_letters": status.dead_letters,
        "last_checkpoint_at": _timestamp(status.checkpoint_ms),
        "waiting": [
            {"partition": waiting.partition, "messages": waiting.messages, "since": _timestamp(waiting.since_ms)}
            for waiting in status.waiting
        ],
        "subjects": [_subject_json(subject) for subject in status.subjects],
        "problems": status.problems,
    }


def describe_state(subject: SubjectStatus, now_ms: int) -> str:
    """Describe what detect does with the records of a subject, and what is missing."""
    count = len(subject.scheduled_versions)
    scheduled = f"; {count} baseline{'s' if count > 1 else ''} scheduled" if count else ""
    if subject.baseline_version is None:
        return _describe_learning(subject.learning, now_ms) + scheduled
    published = "" if subject.published_ms is None else f" since {_near_time(subject.published_ms, now_ms)}"
    monitored = f"monitored{published}, baseline {subject.baseline_version}{scheduled}"
    if subject.relearned_signals is None:
        return monitored
    held = ", ".join(subject.held_signals)
    others = [name for name in subject.relearned_signals if name not in subject.held_signals]
    texts = [f"held at the accepted level until relearned: {held}"] if held else []
    if others or not held:
        texts.append(f"not monitored until relearned: {', '.join(others) or 'every signal'}")
    progress = subject.relearning
    done = "" if progress is None else f" ({_describe_progress(progress, now_ms)})"
    return f"{'; '.join([monitored, *texts])}{done}"


def _table(subjects: list[SubjectStatus], now_ms: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold", max_width=32)
    table.add_column("records", justify="right", no_wrap=True)
    table.add_column("last record", no_wrap=True)
    table.add_column("bad\nfields", justify="right", no_wrap=True)
    table.add_column("duplicates", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for subject in subjects:
        table.add_row(
            plain_line(subject.subject),
            f"{subject.records:,}",
            _age(subject.last_ms, now_ms) if subject.last_ms else "-",
            f"{subject.bad_fields.total():,}",
            f"{subject.duplicates:,}",
            plain_line(describe_state(subject, now_ms)),
        )
    return table


def _describe_learning(progress: LearningProgress | None, now_ms: int) -> str:
    if progress is None:
        return "learning: just started"
    return (
        f"learning: {_describe_progress(progress, now_ms)}; "
        f"{progress.ready_signals} of {progress.signals} signals have enough records"
    )


def _describe_progress(progress: LearningProgress, now_ms: int) -> str:
    span_s = (progress.to_ms - progress.from_ms) / 1000
    is_short_of_records = progress.records / progress.required_records < span_s / progress.required_s
    required = f"{progress.required_records:,} records" if is_short_of_records else duration(progress.required_s)
    # Rounding down avoids a "100 %" that is not ready.
    text = f"{int(100 * progress.share)} % of {required}"
    ready_ms = progress.ready_at_ms
    if ready_ms is None:
        return text
    if ready_ms > now_ms:
        return f"{text}, ready at {_near_time(ready_ms, now_ms)}"
    # The records are from the past, or none has come for a while.
    return f"{text}, needs another {duration(max(1.0, (ready_ms - progress.to_ms) / 1000))} of records"


def _fleet_lines(status: Status, now_ms: int) -> list[str]:
    lines = list(status.problems)
    if status.dead_letters:
        share = percent(status.dead_letters / status.records) if status.records else "-"
        lines.append(
            f"dead letters: {status.dead_letters:,} of {status.records:,} records could not be used ({share}): "
            "driftwire dead-letters --since 1h"
        )
    age_s = None if status.checkpoint_ms is None else (now_ms - status.checkpoint_ms) / 1000
    is_alive = age_s is not None and age_s <= DETECT_ALIVE_S
    if status.waiting:
        count = sum(waiting.messages for waiting in status.waiting)
        oldest = min((waiting.since_ms for waiting in status.waiting if waiting.since_ms is not None), default=now_ms)
        what = f"{count:,} message{'s' if count > 1 else ''}, the oldest appended {_age(oldest, now_ms)}"
        if is_alive:
            lines.append(f"detect is reading: {what}")
        else:
            places = ", ".join(f"partition {waiting.partition}: {waiting.messages:,}" for waiting in status.waiting)
            lines.append(
                f"records have arrived, but detect has not read them: {what} ({places}). "
                "If detect does not run, start it with driftwire up or driftwire worker detect"
            )
    if age_s is None:
        lines.append("detect has not written a checkpoint yet")
    elif not is_alive:
        lines.append(f"last checkpoint of detect: {duration(age_s)} ago. While detect runs, it writes one every second")
    return lines


def _age(time_ms: int, now_ms: int) -> str:
    """Describe a time relative to now.

    >>> _age(1_795_489_920_000, 1_795_489_980_000), _age(1_795_489_980_500, 1_795_489_980_000)
    ('1 min ago', 'now')
    """
    elapsed_s = (now_ms - time_ms) / 1000
    if elapsed_s >= 1:
        return f"{duration(round(elapsed_s))} ago"
    return "now" if elapsed_s > -1 else f"{duration(round(-elapsed_s))} ahead"


def _near_time(time_ms: int, now_ms: int) -> str:
    """Format a UTC time to the minute, with the date unless it is today or tomorrow.

    >>> now = 1_795_489_920_123
    >>> _near_time(now + 3_600_000, now), _near_time(now + 86_400_000, now), _near_time(now - 86_400_000, now)
    ('04:12Z', '03:12Z tomorrow', '2026-11-23 03:12Z')
    """
    days = time_ms // _DAY_MS - now_ms // _DAY_MS
    if days in (0, 1):
        return f"{clock_time(time_ms)[:5]}Z{' tomorrow' if days else ''}"
    return f"{date_minute(time_ms)}Z"


def _subject_json(subject: SubjectStatus) -> dict[str, Any]:
    return {
        "subject": subject.subject,
        "state": subject.state,
        "records": subject.records,
        "late": subject.late,
        "duplicates": subject.duplicates,
        "unversioned_outcomes": subject.unversioned_outcomes,
        "bad_fields": [
            {"field": field, "reason": reason, "count": count}
            for (field, reason), count in sorted(subject.bad_fields.items())
        ],
        "look_alikes": sorted(subject.look_alikes),
        "signals": subject.signals,
        "sampled": subject.is_sampled,
        "last_record_at": _timestamp(subject.last_ms or None),
        "baseline_version": subject.baseline_version,
        "baseline_published_at": _timestamp(subject.published_ms),
        "scheduled_versions": list(subject.scheduled_versions),
        "learning": _progress_json(subject.learning),
        "relearned_signals": None if subject.relearned_signals is None else list(subject.relearned_signals),
        "held_signals": list(subject.held_signals),
        "relearning": _progress_json(subject.relearning),
    }


def _progress_json(progress: LearningProgress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "share": round(progress.share, 4),
        "from": format_timestamp(progress.from_ms),
        "to": format_timestamp(progress.to_ms),
        "records": progress.records,
        "required_s": progress.required_s,
        "required_records": progress.required_records,
        "ready_at": _timestamp(progress.ready_at_ms),
        "signals": progress.signals,
        "ready_signals": progress.ready_signals,
    }


def _timestamp(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_timestamp(time_ms)
