"""All metrics of the workers: the name, kind, unit, labels and meaning of each, and the steps that have it.

The names follow the naming practice of Prometheus: base units, the unit as a suffix, and ``_total`` for counters.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.detect.measurements import OUTCOMES, StreamState
from schemas.dead_letter import DeadLetterReason
from schemas.incident import Severity

MetricKind = Literal["counter", "gauge", "histogram"]
PartitionState = Literal["restoring", "ready", "suspended"]
OrderViolation = Literal["repeated_offset", "offset_gap", "commit_went_back"]

ALL_STEPS = ("intake", "detect", "correlate", "route")

CHECKPOINT_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
ALERT_BUCKETS_S = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name
        Name, with the unit and with ``_total`` for a counter.
    kind
        Kind of the metric.
    meaning
        What it measures, in sentences.
    unit
        Base unit, or an empty string if it counts things.
    labels
        Labels besides ``step``, which every metric of driftwire has.
    label_limit
        What limits the number of values of the labels, or an empty string without labels.
    steps
        Steps whose workers have it.
    initial_labels
        Values of the labels that exist from the start, with the value 0.
    buckets
        Upper limits of the buckets of a histogram.
    is_largest
        Whether the values of several partitions are combined by the largest of them, and not by their sum.
    is_standard
        Whether it is a metric of the process, which the client library provides without the label ``step``.
    """

    name: str
    kind: MetricKind
    meaning: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    label_limit: str = ""
    steps: tuple[str, ...] = ALL_STEPS
    initial_labels: tuple[tuple[str, ...], ...] = ()
    buckets: tuple[float, ...] = ()
    is_largest: bool = False
    is_standard: bool = False


def _each(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


_INPUT_TOPICS = "the input topics of the step"
_PARTITIONS = "the partitions of the input topics"
_RECEIVERS = "the receivers of the configuration"

METRICS: tuple[Metric, ...] = (
    Metric(
        "driftwire_messages_total",
        "counter",
        "Kafka messages that the step has used. An array of records is one message. After a failure, messages since the "
        "last checkpoint are used again and counted again.",
        labels=("topic",),
        label_limit=_INPUT_TOPICS,
    ),
    Metric(
        "driftwire_fetched_bytes_total",
        "counter",
        "Bytes of the batches that were fetched from Kafka, as compressed by their producers.",
        unit="bytes",
        labels=("topic",),
        label_limit=_INPUT_TOPICS,
    ),
    Metric(
        "driftwire_records_total",
        "counter",
        "Records that detect has read, by outcome. A late record is a used record behind the watermark of its subject.",
        labels=("outcome",),
        label_limit="a closed set",
        steps=("detect",),
        initial_labels=_each(*OUTCOMES),
    ),
    Metric(
        "driftwire_held_records",
        "gauge",
        "Records that wait until others agree with their time, because it is far ahead of the subject's time. "
        "Those of subjects without a record for an hour are not included.",
        steps=("detect",),
    ),
    Metric(
        "driftwire_lag_messages",
        "gauge",
        "Messages in Kafka that the step has not used yet, as of the last fetch. Offsets are counted, including those of "
        "transaction markers. It is 0 when everything is used.",
        labels=("topic", "partition"),
        label_limit=_PARTITIONS,
    ),
    Metric(
        "driftwire_watermark_timestamp_seconds",
        "gauge",
        "Newest event time that detect has read, in Unix seconds. `time()` minus this value is the lag in event time.",
        unit="seconds",
        labels=("partition",),
        label_limit=_PARTITIONS,
        steps=("detect",),
    ),
    Metric(
        "driftwire_streams",
        "gauge",
        "Streams by state. A stream is one subject in one partition.",
        labels=("state",),
        label_limit="a closed set",
        steps=("detect",),
        initial_labels=_each(*get_args(StreamState)),
    ),
    Metric(
        "driftwire_bad_fields_total",
        "counter",
        "Values of fields that could not be used, by reason. The other fields of the record are used.",
        labels=("reason",),
        label_limit="a closed set",
        steps=("detect",),
    ),
    Metric(
        "driftwire_dead_letters_total",
        "counter",
        "Messages and records that could not be used, by reason, as in driftwire.dead-letters.",
        labels=("reason",),
        label_limit="a closed set",
        initial_labels=_each(*get_args(DeadLetterReason)),
    ),
    Metric(
        "driftwire_drifts_total",
        "counter",
        "Messages about drifts, by state of the drift and by tier, as in driftwire.drifts.",
        labels=("state", "tier"),
        label_limit="a closed set",
        steps=("detect",),
    ),
    Metric(
        "driftwire_incidents_total",
        "counter",
        "Incidents that were opened, by the severity of their first revision.",
        labels=("severity",),
        label_limit="a closed set",
        steps=("correlate",),
        initial_labels=_each(*get_args(Severity)),
    ),
    Metric(
        "driftwire_open_incidents",
        "gauge",
        "Incidents that are neither resolved nor merged, by severity.",
        labels=("severity",),
        label_limit="a closed set",
        steps=("correlate",),
        initial_labels=_each(*get_args(Severity)),
    ),
    Metric(
        "driftwire_record_to_alert_seconds",
        "histogram",
        "Time from the event time of the record that showed the failure until the first revision of the incident was "
        "written. The exemplars contain the ids of incidents. A replay has no such times.",
        unit="seconds",
        steps=("correlate",),
        buckets=ALERT_BUCKETS_S,
    ),
    Metric(
        "driftwire_limit_hits_total",
        "counter",
        "How often a limit of the configuration was reached, by its key. The page of limits says what happens then.",
        labels=("limit",),
        label_limit="the keys of limits",
        steps=("detect", "correlate", "route"),
    ),
    Metric(
        "driftwire_limit_used_ratio",
        "gauge",
        "Used share of a limit of the configuration, from 0 to 1, by its key: that of the fullest table to which the limit "
        "applies.",
        labels=("limit",),
        label_limit="the keys of limits",
        steps=("detect", "correlate", "route"),
        is_largest=True,
    ),
    Metric(
        "driftwire_notifications_total",
        "counter",
        "Decisions of route by outcome (sent, suppressed or failed), code of the reason, and receiver.",
        labels=("outcome", "reason", "receiver"),
        label_limit=f"closed sets, and {_RECEIVERS}",
        steps=("route",),
    ),
    Metric(
        "driftwire_owed_notifications",
        "gauge",
        "Notifications that a receiver has not accepted yet, including those that wait for their time.",
        labels=("receiver",),
        label_limit=_RECEIVERS,
        steps=("route",),
    ),
    Metric(
        "driftwire_owed_notification_age_seconds",
        "gauge",
        "Age of the oldest notification that a receiver has not accepted yet, or 0 without one.",
        unit="seconds",
        labels=("receiver",),
        label_limit=_RECEIVERS,
        steps=("route",),
    ),
    Metric(
        "driftwire_checkpoint_seconds",
        "histogram",
        "Duration of the transactions that wrote a checkpoint.",
        unit="seconds",
        buckets=CHECKPOINT_BUCKETS_S,
    ),
    Metric(
        "driftwire_checkpoint_bytes_total",
        "counter",
        "Bytes of the changed parts of the state in checkpoints, and of the outputs that were written with them.",
        unit="bytes",
    ),
    Metric(
        "driftwire_transactions_aborted_total",
        "counter",
        "Transactions that Kafka refused, aborted or did not confirm. Their content is written again, or its messages are "
        "used again.",
    ),
    Metric(
        "driftwire_order_violations_total",
        "counter",
        "Violations of the order of messages: an offset that the step got twice, messages that it never got, or a commit "
        "behind an earlier one. Each is logged. Any increase means lost or repeated messages.",
        labels=("kind",),
        label_limit="a closed set",
        initial_labels=_each(*get_args(OrderViolation)),
    ),
    Metric(
        "driftwire_partitions",
        "gauge",
        "Partitions that are assigned to the worker, by state. A suspended partition waits for Kafka to accept its "
        "checkpoint. All states are 0 in a standby.",
        labels=("state",),
        label_limit="a closed set",
        initial_labels=_each(*get_args(PartitionState)),
    ),
    Metric(
        "driftwire_build_info",
        "gauge",
        "Always 1, with the version of driftwire as a label.",
        labels=("version",),
        label_limit="one value",
    ),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory.", unit="bytes", is_standard=True),
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory.", unit="bytes", is_standard=True),
    Metric("process_cpu_seconds_total", "counter", "Processor time.", unit="seconds", is_standard=True),
    Metric("process_start_time_seconds", "gauge", "Unix time of the start.", unit="seconds", is_standard=True),
    Metric("process_open_fds", "gauge", "Open file descriptors.", is_standard=True),
    Metric("process_max_fds", "gauge", "Maximum number of open file descriptors.", is_standard=True),
)
"""The metrics, in the order of the documentation."""
