"""Membership: an incident is independent, merged into another incident, or a parent that covers many subjects.

A merged incident keeps its own drifts. The revision of the target incident is computed from both, so a merge is undone
by removing the link.
"""

from dataclasses import dataclass
from typing import Any, Literal

ScopeKind = Literal["provider", "environment"]


@dataclass(frozen=True, slots=True, order=True)
class SharedScope:
    """The provider or environment that the subjects of a parent incident share."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        """The scope as a string, such as ``provider openai``."""
        return f"{self.kind} {self.name}"


@dataclass(slots=True)
class Membership:
    """Relation of one incident to other incidents.

    Attributes
    ----------
    merged_into
        Id of the incident that this incident is merged into.
    merged_by
        Person who merged it. None for a child that correlate merged into its parent.
    is_excluded
        Whether a person removed it from its parent. It is not merged into a parent again.
    scope
        Scope that its subjects share, if it is a parent. A parent has no drifts of its own.
    formed_at
        Time (Unix ms) at which enough failing subjects had been detected to form the parent.
    """

    merged_into: str | None = None
    merged_by: str | None = None
    is_excluded: bool = False
    scope: SharedScope | None = None
    formed_at: int = 0

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {
            "merged_into": self.merged_into,
            "merged_by": self.merged_by,
            "is_excluded": self.is_excluded,
            "scope": None if self.scope is None else [self.scope.kind, self.scope.name],
            "formed_at": self.formed_at,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Membership":
        """Restore a state that :meth:`dump` returned."""
        scope = state["scope"]
        return cls(
            merged_into=state["merged_into"],
            merged_by=state["merged_by"],
            is_excluded=bool(state["is_excluded"]),
            scope=None if scope is None else SharedScope(*scope),
            formed_at=int(state["formed_at"]),
        )
