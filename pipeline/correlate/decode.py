"""Decoding of the messages that correlate reads, with checks of their times."""

from collections.abc import Sequence
from typing import Any

from pipeline.decoding import Unreadable, decode_object, describe_time_ahead, validate
from pipeline.step import InputMessage
from schemas.command import Command
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.message import AHEAD_MAX_MS
from schemas.tick import Tick
from schemas.timestamp import LATEST_MS
from schemas.topics import COMMANDS, DEPLOYMENTS, DRIFTS

MESSAGE_BYTES_MAX = 65_536
"""Maximum size of a drift, tick, deployment or command, in bytes. Real messages are a few hundred bytes long."""

FORECAST_MAX_MS = 10 * 366 * 86_400_000
"""Minimum milliseconds from the time of a message to the end of the year 9999, because deadlines follow that time."""

REPORT_AHEAD_MAX_MS = 86_400_000
"""Maximum milliseconds by which a drift or tick may be ahead of its arrival. Detect checks times more strictly. This
limit is wide because it also includes the difference between the clocks of the broker and of detect."""

Content = Drift | Tick | Deployment | Command | Unreadable


def decode_message(message: InputMessage, *, replay: bool = False) -> Sequence[Content]:
    """Decode a message. A deployment of several subjects yields one content per subject; any other message yields one.

    Parameters
    ----------
    message
        The message.
    replay
        Whether the records are from the past. Times are then not compared with the arrival time.

    Raises
    ------
    ValueError
        If correlate does not read the topic of the message.
    """
    topic = message.topic
    if topic not in (DRIFTS, DEPLOYMENTS, COMMANDS):
        raise ValueError(f"correlate does not read the topic {topic}; it reads {DRIFTS}, {DEPLOYMENTS} and {COMMANDS}")
    content = decode_object(message.value, f"a message on {topic}", bytes_max=MESSAGE_BYTES_MAX)
    if isinstance(content, Unreadable):
        return [content]
    decoded = _read(topic, content)
    problem = _find_time_problem(decoded[0], message.timestamp, replay=replay)
    return decoded if problem is None else [Unreadable("timestamp_out_of_range", problem)]


def _read(topic: str, content: dict[str, Any]) -> Sequence[Content]:
    if topic == DEPLOYMENTS:
        deployments = validate(Deployment.read, content, "deployment")
        return [deployments] if isinstance(deployments, Unreadable) else deployments
    if topic == COMMANDS:
        return [validate(Command.model_validate, content, "command")]
    match content.get("type", "drift"):
        case "drift":
            return [validate(Drift.model_validate, content, "drift")]
        case "tick":
            return [validate(Tick.model_validate, content, "tick")]
        case _:
            return [Unreadable("contract", f'the "type" of a message on {topic} must be drift or tick')]


def _find_time_problem(content: Content, arrived_ms: int, *, replay: bool) -> str | None:
    """Describe the problem if a time would move a clock too far. One such time would make all deadlines expire."""
    ahead_max_ms = AHEAD_MAX_MS
    match content:
        case Drift():
            times = {name: getattr(content, name) for name in ("started_at", "detected_at", "updated_at")}
            ahead_max_ms = REPORT_AHEAD_MAX_MS
        case Tick():
            times = {"watermark": content.watermark or 0, "wall": content.wall or 0}
            ahead_max_ms = REPORT_AHEAD_MAX_MS
        case Deployment():
            times = {"timestamp": content.timestamp}
        case Command() if content.action != "silence":  # A silence may begin later.
            times = {"at": content.at}
        case _:
            return None
    name, latest = max(times.items(), key=lambda item: item[1])
    if latest > LATEST_MS - FORECAST_MAX_MS:
        return f"{name} is too close to the end of the year 9999: deadlines after it could not be written"
    return None if replay else describe_time_ahead(name, latest, arrived_ms, ahead_max_ms=ahead_max_ms)
