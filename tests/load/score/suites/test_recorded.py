"""The suite of recorded streams: expected drifts are found, and missing data or baselines are reported."""

from pathlib import Path

import pytest

from load.score.suites.recorded import NOT_READY, RECORDED_STREAMS, RecordedStream, run_recorded
from tests.load.score.scenarios import DATA, SETTINGS


@pytest.mark.parametrize("stream", RECORDED_STREAMS[:3], ids=lambda stream: stream.name)
def test_a_recorded_stream_fires_as_expected(stream: RecordedStream) -> None:
    if not DATA.exists():
        pytest.skip("the recorded streams do not exist here")
    row = run_recorded(stream, DATA, SETTINGS)
    assert row["problems"] == []
    assert row["ready_at"].startswith("2023-06-12T00:30")


def test_a_stream_without_data_is_skipped_with_the_reason(tmp_path: Path) -> None:
    assert str(tmp_path) in run_recorded(RECORDED_STREAMS[0], tmp_path, SETTINGS)["skipped"]


def test_a_stream_without_a_ready_baseline_is_a_problem(tmp_path: Path) -> None:
    stream = RECORDED_STREAMS[3]
    path = tmp_path / stream.file
    path.parent.mkdir()
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n")
    assert run_recorded(stream, tmp_path, SETTINGS)["problems"] == [NOT_READY]
