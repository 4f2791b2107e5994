"""Read the control messages of detect, which are baselines and relearn requests."""

import hashlib
from weakref import WeakValueDictionary

import orjson
from pydantic import ValidationError

from pipeline.dead_letters import dead_letter
from pipeline.decoding import describe_time_ahead
from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.step import InputMessage, OutputMessage
from pipeline.wording import one_line
from schemas.baseline import Baseline
from schemas.relearn import Relearn

_checked: "WeakValueDictionary[tuple[DetectSettings, bytes], PackedBaseline]" = WeakValueDictionary()
"""The checked baselines in use, by the settings and the hash of the message. Each partition of a worker gets every message,
and to check one takes ten milliseconds."""


def read_control(
    message: InputMessage, value: bytes, settings: DetectSettings, *, replay: bool
) -> PackedBaseline | Relearn | OutputMessage:
    """Return the baseline or relearn request of a control message, or a dead letter if the message is neither.

    The function builds a :class:`Monitor` with the baseline, so an unusable baseline is rejected here. A relearn request
    far ahead of its arrival is also rejected: its signals would not be monitored until then. A replay has no times of
    arrival.
    """
    key = settings, hashlib.blake2b(value).digest()
    checked = _checked.get(key)
    if checked is not None:
        return checked
    if _is_relearn(value):
        return _read_relearn(message, value, replay=replay)
    try:
        baseline = Baseline.from_json(value)
        Monitor(baseline, settings)
    except (ValidationError, ValueError, TypeError, KeyError, IndexError) as problem:
        detail = f"the message is not a usable baseline: {one_line(problem)}"
        return dead_letter("detect", message, "contract", detail)
    packed = _checked[key] = PackedBaseline(baseline)
    return packed


def _read_relearn(message: InputMessage, value: bytes, *, replay: bool) -> Relearn | OutputMessage:
    try:
        relearn = Relearn.from_json(value)
    except ValidationError as problem:
        detail = f"the message is not a valid relearn request: {one_line(problem)}"
        return dead_letter("detect", message, "contract", detail)
    problem_ahead = None if replay else describe_time_ahead("at", relearn.at, message.timestamp)
    return relearn if problem_ahead is None else dead_letter("detect", message, "timestamp_out_of_range", problem_ahead)


def _is_relearn(value: bytes) -> bool:
    try:
        content = orjson.loads(value)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "relearn"
