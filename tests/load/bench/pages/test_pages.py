"""The pages of the figures are those of the reports in the repository."""

import json
from pathlib import Path

import pytest

from load.bench.pages import read_reports, write_performance, write_scaling
from load.errors import LoadError

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize(("name", "write"), [("performance.md", write_performance), ("scaling.md", write_scaling)])
def test_a_page_is_written_by_the_command(name, write):
    assert (DOCS / name).read_text() == write(read_reports(DOCS / "performance"))


def test_the_page_has_the_ratios_and_the_problems():
    reports = read_reports(DOCS / "performance")
    reports["detect"] |= {"ratio_to_obvious": 17.3, "ratio_to_quix": None, "problems": ["records became dead letters"]}
    page = write_performance(reports)
    assert "| `ratio_to_obvious` | 17.3 | A Faust agent with river, one event at a time |" in page
    assert "Problem: records became dead letters." in page
    assert "records_per_s" not in page


def test_ten_times_the_cost_of_a_record_needs_ten_times_the_cores():
    reports = read_reports(DOCS / "performance")
    for factor, cores in ((1.0, "20.0"), (10.0, "200.0")):
        for case in reports["subjects"]["subjects"].values():
            case["processor_us"] = 20.0 * factor
        assert f"| 1,000,000 | 100,000 | {cores} |" in write_scaling(reports)


def test_the_scaling_needs_the_measured_costs():
    reports = read_reports(DOCS / "performance")
    del reports["memory"], reports["workers"]
    with pytest.raises(LoadError, match="needs the reports of bench memory, workers"):
        write_scaling(reports)


@pytest.mark.parametrize("content", ["{}", "no JSON", "[1]"])
def test_a_file_that_is_no_report_is_an_error(tmp_path, content):
    (tmp_path / "detect.json").write_text(content)
    with pytest.raises(LoadError, match=r"detect\.json is not a report"):
        read_reports(tmp_path)


def test_two_reports_of_one_benchmark_are_an_error(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps({"bench": "detect"}))
    with pytest.raises(LoadError, match=r"b\.json is a second report of bench detect"):
        read_reports(tmp_path)
