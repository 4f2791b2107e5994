"""Limits on the running log of an incident: line length and number of lines."""

from schemas.incident import LogEntry

TEXT_LENGTH_MAX = 500
"""Maximum number of characters in a running-log line or in a sentence of the evidence."""


def shorten(text: str) -> str:
    """Truncate a string to the maximum length of a running-log line."""
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - 1] + "…"


def newest_lines(log: list[LogEntry], entries_max: int) -> list[LogEntry]:
    """Sort a log by time, and reduce it to its first line (the opening) and its newest lines."""
    ordered = sorted(log, key=lambda entry: entry.at)
    return ordered if len(ordered) <= entries_max else [ordered[0], *ordered[len(ordered) - entries_max + 1 :]]
