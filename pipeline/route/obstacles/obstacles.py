"""All obstacles together: the reason why an incident is not sent now."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.dead_letters import dead_letter
from pipeline.decoding import Unreadable, decode_contract
from pipeline.limit_use import LimitUse
from pipeline.route import reasons
from pipeline.route.matchers import Labels
from pipeline.route.obstacles.closed_times import ClosedTimes
from pipeline.route.obstacles.inhibition import Inhibition
from pipeline.route.obstacles.silences import Silences
from pipeline.route.reasons import Reason
from pipeline.route.settings import RouteSettings
from pipeline.state import PartStore
from pipeline.step import InputMessage, OutputMessage
from schemas.command import Command
from schemas.topics import MEBIBYTE


class Obstacles:
    """The inhibition rules, the closed times of the routes, and the silences.

    Parameters
    ----------
    settings
        Routes, rules, time intervals and limits.
    store
        Store in which changed silences are marked.
    """

    def __init__(self, settings: RouteSettings, store: PartStore) -> None:
        self._silences = Silences(settings.silences_max, store, settings.label_names)
        self._inhibition = Inhibition(settings.inhibit)
        self._closed_times = ClosedTimes(settings)
        self._has_changed = True
        self._unchanged_from, self._unchanged_until = 0.0, 0.0

    def find(self, incident_id: str, labels: Labels, routes: Sequence[str], at: int) -> tuple[str, Reason | None]:
        """Return the first route that sends at a time (Unix ms), or the first route and the reason why none does.

        The order of the reasons is Alertmanager's: inhibition, active times, mute times, silences.
        """
        source = self._inhibition.find(incident_id, labels)
        if source is not None:
            return routes[0], reasons.open_source(source)
        closed = [self._closed_times.find(route, at) for route in routes]
        if None not in closed:
            return routes[0], closed[0]
        route = routes[closed.index(None)]
        silence = self._silences.find(labels, at)
        if silence is not None:
            return route, reasons.active_silence(silence.author, silence.until, silence.silence_id)
        return route, None

    def limit_use(self) -> LimitUse:
        """Return the use of the limit of silences."""
        return self._silences.limit_use()

    def read_command(self, message: InputMessage) -> list[OutputMessage]:
        """Add the silence of a command, or return its dead letter. Correlate reads the other commands."""
        command = decode_contract(message.value, Command.model_validate, "command", bytes_max=MEBIBYTE)
        if isinstance(command, Unreadable) or command.action != "silence":
            return []  # correlate reports an unreadable command
        try:
            self._silences.add(command)
        except ValueError as error:
            detail = f"the silence {command.command_id} is invalid: {error}"
            return [dead_letter("route", message, "contract", detail)]
        self._has_changed = True
        return []

    def take_change(self, at: int) -> bool:
        """Return whether an obstacle may have begun or ended since the last call, at a time (Unix ms)."""
        if not self._has_changed and self._unchanged_from <= at < self._unchanged_until:
            return False
        self._has_changed, self._unchanged_from = False, at
        self._unchanged_until = min(self._silences.next_change(at), self._closed_times.next_change(at))
        return True

    def update_source(self, incident_id: str, labels: Labels) -> None:
        """Set the labels of an open incident, which can inhibit others."""
        self._has_changed |= self._inhibition.update(incident_id, labels)

    def remove_source(self, incident_id: str) -> None:
        """Remove an incident that is over or no longer stored."""
        self._has_changed |= self._inhibition.remove(incident_id)

    def dump_silence(self, silence_id: str) -> dict[str, Any] | None:
        """Return the state of one silence, or None if it was dropped."""
        return self._silences.dump(silence_id)

    def load_silence(self, state: Mapping[str, Any]) -> None:
        """Restore the state of one silence."""
        self._silences.load(state)


def is_same_obstacle(before: Reason, now: Reason | None) -> bool:
    """Return whether an obstacle is still the same. Inhibition by another incident counts as the same obstacle."""
    return before == now or (now is not None and before.code == now.code == "inhibited")
