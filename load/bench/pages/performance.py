"""The page of the performance: for each benchmark its command, commit and machine, and its ratios."""

import re
from dataclasses import dataclass
from typing import Any

from load.bench.pages.reports import Reports, describe_report

INTRODUCTION = """# Performance

`driftwire-load bench pages` writes this page from the reports in [performance](performance). All benchmarks time the real
workers on an embedded Kafka with the default settings: both tiers, two segment dimensions, and statistics. Records have
22 signals. Machines differ, so the page has ratios within one run, and absolute numbers only where a limit is absolute.
[Scaling](scaling.md) uses them to plan for larger loads, and [load](load.md#benchmarks) explains how they are measured.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark on the page: its title, what it measures, and the meaning of its figures by pattern of their names."""

    title: str
    text: str
    figures: dict[str, str]


SECTIONS = {
    "detect": Section(
        "One busy subject",
        "Rate of one detect worker with one subject at 2,000 records per second, as a multiple of other pipelines on the "
        "same topic.",
        {
            "ratio_to_obvious": "A Faust agent with river, one event at a time",
            "ratio_to_quix": "Quix Streams with river, one event at a time",
            "ratio_to_reading": "Only reading and decoding: aiokafka and orjson",
            "ratio_to_before": "The detect worker of an earlier version",
        },
    ),
    "peers": Section(
        "Other pipelines",
        "As above, with all pipelines.",
        {
            "ratio_to_obvious": "A Faust agent with river, one event at a time",
            "ratio_to_quix": "Quix Streams with river, one event at a time",
            "ratio_to_bytewax": "Bytewax with river, one event at a time",
            "ratio_to_reading": "Only reading and decoding: aiokafka and orjson",
            "ratio_to_confluent": "Only reading and decoding: confluent-kafka and msgspec",
        },
    ),
    "subjects": Section(
        "Many subjects",
        "Rate of one detect worker with many subjects.",
        {
            r"share_of_one_(\d+)": "Rate with {0} subjects as a share of the rate with one",
            r"ratio_to_quix_(\d+)": "Rate with {0} subjects as a multiple of Quix Streams with river",
            r"memory_mb_(\d+)": "Memory with {0} subjects above that of an empty worker, in MB, while it reads a backlog",
            "checkpoint_time_share": "Share of the processor time that checkpoints take, at the highest rate",
            "checkpoint_mb_per_s": "MB of checkpoints per second, at the highest rate",
        },
    ),
    "segments": Section(
        "Many segments",
        "Rate of one detect worker with one busy subject and two segment dimensions.",
        {r"share_of_plain_(\d+)_values": "Rate with {0} values as a share of the rate without segments"},
    ),
    "latency": Section(
        "Record to alert",
        "Seconds from the append of the record whose evidence crosses the threshold to the append of the alert. A failure "
        "that is not found counts as infinite.",
        {
            "p50_s": "Median",
            "p99_s": "99th percentile",
            "largest_s": "Largest",
            "drift_p99_s": "99th percentile of the time to the drift",
            "since_start_p50_s": "Median of the time from the start of the failure to the alert",
            "since_start_p99_s": "99th percentile of that time",
        },
    ),
    "workers": Section(
        "Two workers",
        "Two detect workers on four partitions, compared with one worker.",
        {
            "processor_ratio": "Processor time per record as a multiple of that of one worker",
            "wall_ratio": "Rate as a multiple of that of one worker, on a machine that also runs Kafka",
        },
    ),
    "memory": Section(
        "Memory",
        "Resident memory of one detect worker above that of an empty worker.",
        {
            r"memory_mb_(\d+)": "{0} ready streams, in MB",
            r"kb_per_stream_(\d+)": "One of {0} ready streams, in kB",
            "ready_stream_kb": "Objects of a ready stream, in kB",
            "learning_stream_kb": "Objects of a stream after a day of learning, in kB",
            "packed_stream_kb": "Objects of a stream that is put away after an hour without records, in kB",
            "growth_live": "Largest memory in the last quarter of minutes of traffic, as a multiple of the second quarter",
            "growth_visitors": "The same while subjects come and go",
            "memory_mb_visitors": "Largest memory while subjects come and go, in MB",
        },
    ),
    "recovery": Section(
        "Restart",
        "Seconds from the start of the process of a detect worker.",
        {
            "seconds_to_first_judged": "Until the first new record is judged and committed",
            "seconds_to_ready": "Until all partitions are ready",
        },
    ),
    "backlog": Section(
        "Backlog",
        "A worker reads minutes of its highest rate that wait in the topic, while half that rate arrives.",
        {
            "memory_ratio": "Largest memory as a multiple of that without a backlog",
            "lost": "Lost records",
            "catch_up_ratio": "Rate while it catches up as a multiple of its highest rate",
        },
    ),
    "correlate": Section(
        "A flood of drifts",
        "Processor time of the correlate step per drift, with many open incidents.",
        {
            r"cost_per_drift_us_(\d+)": "With {0} open incidents, in microseconds",
            "ratio_5000_to_100": "With 5,000 open incidents as a multiple of 100",
            "state_bytes_per_incident_p99": "99th percentile of the state of an incident, in bytes",
        },
    ),
}
"""The benchmarks in the order of the page."""


def write_performance(reports: Reports) -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    for bench, section in SECTIONS.items():
        if bench in reports:
            parts.append(_write_section(section, reports[bench]))
    return "\n".join(parts)


def _write_section(section: Section, report: dict[str, Any]) -> str:
    lines = [f"## {section.title}", "", section.text, "", "| figure | value | meaning |", "|---|---|---|"]
    for name, value in report.items():
        for pattern, meaning in section.figures.items():
            match = re.fullmatch(pattern, name)
            if match and value is not None:
                numbers = [f"{int(number):,}" for number in match.groups()]
                lines.append(f"| `{name}` | {value:g} | {meaning.format(*numbers)} |")
    lines += ["", describe_report(report)]
    if "judged_share" in report:
        lines[-1] += f" Share of the signal values that were monitored: {report['judged_share']:g}."
    for problem in report.get("problems", ()):
        lines += ["", f"Problem: {problem}."]
    return "\n".join(lines) + "\n"
