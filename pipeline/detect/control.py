"""Read the control messages of detect, which are baselines and relearn requests."""

import orjson
from pydantic import ValidationError

from pipeline.dead_letters import dead_letter
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.step import InputMessage, OutputMessage
from pipeline.wording import one_line
from schemas.baseline import Baseline
from schemas.relearn import Relearn


def read_control(message: InputMessage, value: bytes, settings: DetectSettings) -> Baseline | Relearn | OutputMessage:
    """Return the baseline or relearn request of a control message, or a dead letter if the message is neither.

    The function builds a :class:`Monitor` with the baseline, so an unusable baseline is rejected here.
    """
    try:
        if _is_relearn(value):
            return Relearn.from_json(value)
    except ValidationError as problem:
        detail = f"the message is not a valid relearn request: {one_line(problem)}"
        return dead_letter("detect", message, "contract", detail)
    try:
        baseline = Baseline.from_json(value)
        Monitor(baseline, settings)
    except (ValidationError, ValueError, TypeError, KeyError, IndexError) as problem:
        detail = f"the message is not a usable baseline: {one_line(problem)}"
        return dead_letter("detect", message, "contract", detail)
    return baseline


def _is_relearn(value: bytes) -> bool:
    try:
        content = orjson.loads(value)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "relearn"
