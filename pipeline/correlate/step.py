"""The correlate step turns drifts, ticks, deployments and commands into revisions of incidents."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from pipeline.correlate.decode import Content, decode_message
from pipeline.correlate.phases import (
    IncidentTable,
    apply_message,
    group_incidents,
    publish_revisions,
    restore_candidates,
    settle_clocks,
)
from pipeline.correlate.settings import CorrelateSettings
from pipeline.limit_use import measure_limits
from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.incident import CLOSED, Severity


class CorrelateStep:
    """The correlate step. It reads three topics of one partition each.

    Every message passes through four phases: apply, settle, group and publish. See :mod:`pipeline.correlate.phases`.

    The same messages of each topic in the same order lead to the same final incidents, except for ``revision`` and
    ``change``, regardless of how the topics interleave. The interleaving of subjects within ``drifts`` does not matter
    either if the records of a subject are in one partition. The drifts of a subject in several partitions are processed
    in order of arrival. There is one exception for parents: if later starts arrived first, a parent may be published
    and then merged into the right parent. For two kinds of message, the effect depends on the arrival time. The first
    use of a provider model or schema does not open an incident if its deployment has already arrived. A command is a
    person's reaction to published messages, and takes effect when it arrives, unless a later
    command contradicts it.

    Parameters
    ----------
    settings
        Windows, limits, and severity rules that are evaluated before the built-in rules.
    replay
        Whether the records are from the past. Times are then not compared with the arrival time.

    Attributes
    ----------
    limits_hit
        Number of times that each limit has been hit since startup, keyed by setting name.
    """

    def __init__(self, settings: CorrelateSettings, *, replay: bool = False) -> None:
        self._replay = replay
        self._table = IncidentTable(settings)
        self.limits_hit = self._table.limits_hit

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Process messages. Return revisions of incidents, requests to relearn baselines, and dead letters."""
        return [
            output
            for message in messages
            for content in decode_message(message, replay=self._replay)
            for output in self._pass_phases(content, message)
        ]

    def _pass_phases(self, content: Content, message: InputMessage) -> list[OutputMessage]:
        touched = apply_message(self._table, content, message)
        touched = settle_clocks(self._table, touched)
        touched = group_incidents(self._table, touched)
        return publish_revisions(self._table, touched)

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:  # noqa: ARG002 - the protocol's
        """Do nothing, because correlate reads no control topic."""
        del message
        return []

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        """Do nothing. The time comes from the ticks in ``drifts``, so a replay after a restart sees the same times."""
        del wall_ms
        return []

    def on_gap(self) -> list[OutputMessage]:
        """Do nothing, because no statistic spans messages. If a drift is lost, its next report opens the incident."""
        return []

    def measure(self) -> Iterator[Measurement]:
        """Yield the number of published incidents that are open, by severity, and the use of each limit."""
        published = [incident.last_published for incident in self._table.incidents]
        open_incidents = Counter(one.severity for one in published if one is not None and one.status not in CLOSED)
        for severity in get_args(Severity):
            yield Measurement("driftwire_open_incidents", open_incidents[severity], (severity,))
        yield from measure_limits(self._table.limit_uses())

    def mark_all(self) -> None:
        """Mark all parts of the state as changed, because the checkpoint topic was created again."""
        self._table.parts.mark_all()

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the parts that changed since the last call. See :mod:`pipeline.correlate.checkpoint`."""
        return self._table.parts.changed()

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore parts in any order, and yield a warning for each discarded part."""
        yield from self._table.parts.restore(parts)
        restore_candidates(self._table)
