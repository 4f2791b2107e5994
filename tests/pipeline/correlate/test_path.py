"""The path of a message: how often it returns to a file."""

import sys
from itertools import groupby
from pathlib import Path

import pipeline.correlate
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import deployment, drift, incidents, kafka

ROOT = Path(pipeline.correlate.__file__).parent

PATH = ("phases", "incidents")
"""The rooms whose files are the path. They call the other rooms: severity, causes and response."""

RETURNS_MAX = 10


def first_entries(step, messages):
    """The files of correlate in the order in which their functions are first entered while messages pass a step."""
    entered, files = set(), []

    def record(frame, event, _):
        code = frame.f_code
        # Comprehensions and lambdas are part of the function around them.
        if event != "call" or code in entered or code.co_name.startswith("<"):
            return
        path = Path(code.co_filename)
        if path.is_relative_to(ROOT):
            entered.add(code)
            files.append(path.relative_to(ROOT))

    sys.setprofile(record)
    try:
        outputs = step.step(messages)
    finally:
        sys.setprofile(None)
    return outputs, files


def stays(files):
    return [file for file, _ in groupby(files)]


def test_a_drift_passes_correlate_with_at_most_ten_returns_to_a_file_that_it_left():
    step = CorrelateStep(CorrelateSettings())
    step.step(kafka([deployment()]))
    outputs, files = first_entries(step, kafka([drift()]))
    [opened] = incidents(outputs)
    assert (opened.status, len(opened.suspects)) == ("open", 1)
    everything = stays(files)
    path = stays(file for file in files if len(file.parts) == 1 or file.parts[0] in PATH)
    for name, visits in (("path", path), ("everything", everything)):
        print(f"{name}: {len(visits)} stays, {len(visits) - len(set(visits))} returns, {len(set(visits))} files")
    assert [file.stem for file in path if file.stem in ("apply", "settle", "group", "publish")] == [
        "apply",
        "settle",
        "group",
        "publish",
    ]
    assert len(path) - len(set(path)) <= RETURNS_MAX
