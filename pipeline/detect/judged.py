"""Judged: how much of what arrived a baseline judged, so that nobody takes silence for health."""

from dataclasses import dataclass


@dataclass(slots=True)
class Judged:
    """How many finite signal values arrived, and how many of them a ready baseline judged."""

    seen: int = 0
    judged: int = 0
