"""What detect is told beside records: baselines, and what is to be learned anew."""

import orjson
from pydantic import ValidationError

from pipeline.dead_letters import dead_letter
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.step import Input, Output
from schemas.baseline import Baseline
from schemas.relearn import Relearn


def read_control(message: Input, value: bytes, settings: DetectSettings) -> Baseline | Relearn | Output:
    """Read a control message: a baseline that can be judged by, a relearn, or the dead letter of what is neither."""
    try:
        if _is_relearn(value):
            return Relearn.from_json(value)
    except ValidationError as problem:
        return dead_letter(
            "detect", message, "contract", f"the message does not say what to learn anew: {one_line(problem)}"
        )
    try:
        baseline = Baseline.from_json(value)
        Monitor(baseline, settings)
    except (ValidationError, ValueError, TypeError, KeyError, IndexError) as problem:
        detail = f"the message is no baseline that can be judged by: {one_line(problem)}"
        return dead_letter("detect", message, "contract", detail)
    return baseline


def one_line(problem: Exception) -> str:
    """One line of what a library may say in many, without what the message held."""
    if isinstance(problem, ValidationError):
        first = problem.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return " ".join(str(problem).split())


def _is_relearn(value: bytes) -> bool:
    try:
        content = orjson.loads(value)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "relearn"
