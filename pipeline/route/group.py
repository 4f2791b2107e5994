"""Group: incidents that a receiver is told of in one message.

Source: Alertmanager's grouping. Incidents with equal values of the labels in ``group_by`` of their route form a group. The
first message waits for ``group_wait_s``, and each later one follows at least ``group_interval_s`` after the one before.
After the first attempt to send it, an incident stays in its group until its end, even if its labels change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pipeline.route.matchers import Labels

VALUE_LENGTH_MAX = 200
"""Maximum characters of the value of a label. A longer value, such as that of many segments, is shortened, with a hash."""


@dataclass(frozen=True, slots=True)
class Group:
    """The group of an incident at one receiver.

    Attributes
    ----------
    route
        Route by whose labels the incidents are grouped.
    labels
        The labels in ``group_by``, in order, with their values. Several values are joined by commas.

    >>> group = Group.from_labels("urgent", ["team", "layer"], {"team": ("search",), "layer": ("data", "output")})
    >>> str(group)
    'team="search", layer="data,output"'
    """

    route: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_labels(cls, route: str, group_by: Iterable[str], labels: Labels) -> "Group":
        """Return the group of an incident with these labels. A label that it does not have is empty."""
        return cls(route, tuple((name, _shorten(",".join(labels.get(name, ())))) for name in group_by))

    @classmethod
    def load(cls, state: Mapping[str, Any] | None) -> "Group | None":
        """Restore from a state with the same fields, or return None if there is no group."""
        if state is None:
            return None
        return cls(state["route"], tuple((name, value) for name, value in state["labels"]))

    def __str__(self) -> str:
        """Return the labels as matchers, or the route if it has one group."""
        return ", ".join(f'{name}="{value}"' for name, value in self.labels) or f"route {self.route}"


def _shorten(value: str) -> str:
    if len(value) <= VALUE_LENGTH_MAX:
        return value
    digest = blake2b(value.encode(), digest_size=8).hexdigest()
    return f"{value[: VALUE_LENGTH_MAX - len(digest) - 1]}…{digest}"
