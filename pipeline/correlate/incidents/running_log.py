"""Limits of the running log of an incident: the length of a line, and the stored lines."""

from schemas.incident import LogEntry

TEXT_LENGTH_MAX = 500
"""Maximum characters of a line in the running log or of a sentence in the evidence."""


def shorten(text: str) -> str:
    """Cut a string to the length of a line in the running log."""
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - 1] + "…"


def newest_lines(log: list[LogEntry], entries_max: int) -> list[LogEntry]:
    """Sort a log by time and cut it to its first line (the opening) and its newest lines."""
    ordered = sorted(log, key=lambda entry: entry.at)
    return ordered if len(ordered) <= entries_max else [ordered[0], *ordered[len(ordered) - entries_max + 1 :]]
