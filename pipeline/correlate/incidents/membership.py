"""Membership: where an incident stands among others. Merged into one, the parent of many, or on its own.

The drifts of a merged incident stay where they are: what the other one says is computed from both, so that to take a
merge back is to forget that it was made.
"""

from dataclasses import dataclass
from typing import Any, Literal

ScopeKind = Literal["provider", "environment"]


@dataclass(frozen=True, slots=True, order=True)
class SharedScope:
    """What the subjects of a parent incident share."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        """As a person says it: ``provider openai``."""
        return f"{self.kind} {self.name}"


@dataclass(slots=True)
class Membership:
    """Where one incident stands.

    ``into`` is the incident that it is merged into, ``by`` the person who said so; without a person it is a child of a
    parent. ``apart`` is a child that a person took out: it stays out. A parent has a ``scope``, ``formed_at`` (Unix ms:
    when enough subjects were detected), and no drifts of its own.
    """

    into: str | None = None
    by: str | None = None
    kept_apart: bool = False
    scope: SharedScope | None = None
    formed_at: int = 0

    def dump(self) -> dict[str, Any]:
        """The state, for JSON."""
        scope = None if self.scope is None else [self.scope.kind, self.scope.name]
        return {"into": self.into, "by": self.by, "apart": self.kept_apart, "scope": scope, "formed_at": self.formed_at}

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Membership":
        """Take up a state that :meth:`dump` gave out."""
        scope = state["scope"]
        return cls(
            state["into"],
            state["by"],
            bool(state["apart"]),
            None if scope is None else SharedScope(*scope),
            int(state["formed_at"]),
        )
