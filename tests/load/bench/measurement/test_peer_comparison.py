"""A comparison: ratios of medians, and its report."""

import os

import pytest

from load.bench.measurement.peer_comparison import PeerComparison
from load.bench.measurement.peers import PEERS, run_peer
from load.bench.measurement.processes import WrittenBytes, processor_s, resident_mb
from load.bench.measurement.timed_run import TimedRun
from load.errors import LoadError


def run(records_per_s, processor_us=20.0):
    return TimedRun(records_per_s, 1.0, records_per_s * processor_us / 1e6, 200.0, 1000, (), 0)


@pytest.fixture
def comparison():
    compared = PeerComparison(runs=[run(39_000), run(30_000), run(50_000)], judged_share=1.0, planted_found=True)
    compared.peers["obvious"] = [5000.0, 4000.0, 6000.0]
    compared.before = [run(13_000)]
    return compared


def test_the_ratios_are_those_of_the_medians(comparison):
    assert comparison.ratio_to("obvious") == 39_000 / 5000
    assert comparison.ratio_to_before == 3.0
    assert comparison.processor_us == pytest.approx(20.0)


def test_a_peer_that_was_not_measured_has_no_ratio(comparison):
    assert comparison.ratio_to("quix") is None
    assert "ratio_to_quix" not in comparison.to_json()


def test_the_report_has_the_documented_keys(comparison):
    report = comparison.to_json()
    assert report["ratio_to_obvious"] == 7.8
    assert report["ratio_to_before"] == 3.0
    assert report["judged_share"] == 1.0
    assert report["planted_found"] is True
    assert len(report["runs"]) == 3
    assert report["commands"]["obvious"].startswith("python load/bench/yardstick/obvious.py")


async def test_a_peer_that_fails_is_an_error_with_its_last_lines(monkeypatch):
    monkeypatch.setitem(PEERS, "broken", PEERS["reading"].__class__("a broken peer", "missing.py", 10))
    with pytest.raises(LoadError, match=r"a broken peer failed; last lines of its output: .*missing\.py"):
        await run_peer("broken", "127.0.0.1:1", partitions=1, records=1)


def test_written_bytes_are_those_that_were_appended(tmp_path):
    folder = tmp_path / "driftwire.detect-checkpoints-0"
    folder.mkdir()
    (folder / "0.log").write_bytes(b"x" * 100)
    written = WrittenBytes(tmp_path, "driftwire.detect-checkpoints")
    assert written.read() == 0
    (folder / "0.log").write_bytes(b"x" * 130)
    (folder / "1.log").write_bytes(b"x" * 50)
    assert written.read() == 80
    (folder / "0.log").write_bytes(b"x" * 10)  # compacted
    assert written.read() == 80


def test_the_resources_of_a_process_are_read():
    assert processor_s([os.getpid()]) > 0
    assert 10 < resident_mb([os.getpid()]) < 10_000
    assert resident_mb([None]) == processor_s([None]) == 0.0
