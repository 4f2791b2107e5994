"""The checks of the chaos suite find the problems that they are written for."""

import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from load.chaos.comparison import RunOutcome, compare
from load.chaos.observers import CheckpointLedger
from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster
from topologies.runtime.checkpoint.stored_checkpoint import SEQUENCE_HEADER, checkpoint_digest
from topologies.step_state import ENTRY_KEY

RECORDS = 30
SOURCE = TopicPartition(checkpoints_topic("detect"), 0)


def outcome() -> RunOutcome:
    counts = {"records": 10, "used": 7, "duplicates": 1, "held": 1, "dead_letters": 1}
    return RunOutcome(
        drifts=[{"drift_id": "d", "sequence": number, "signal": "output.refused"} for number in range(3)],
        alerts=[{"incident_id": "i", "revision": number, "severity": "P2"} for number in range(3)],
        notifications=[{"notification_id": "n", "incident_id": "i", "outcome": "sent"}],
        dead_letters=[{"dead_letter_id": "l", "step": "detect", "partition": 0, "offset": 3}],
        counts=[dict(counts) for _ in range(3)],
        ends={0: 10, 1: 10, 2: 10},
    )


def compared(change: Any) -> Any:
    found = deepcopy(outcome())
    change(found)
    return compare(outcome(), found, records=RECORDS, accepted=["n"])


def test_equal_runs_have_no_differences():
    comparison = compared(lambda _: None)
    assert comparison.alerts_equal
    assert not comparison.differences
    assert (comparison.records_unaccounted, comparison.outputs_twice, comparison.outputs_lost) == (0, 0, 0)


def test_the_revision_of_an_alert_may_differ_and_its_content_may_not():
    assert compared(lambda found: found.alerts[-1].update(revision=9)).alerts_equal
    comparison = compared(lambda found: found.alerts[-1].update(severity="P1"))
    assert not comparison.alerts_equal
    assert comparison.differences == ["alert differs: i in severity: 'P2' != 'P1'"]


@pytest.mark.parametrize("kind", ["drifts", "notifications", "dead_letters", "alerts"])
def test_an_output_written_twice_is_found(kind):
    assert compared(lambda found: getattr(found, kind).append(getattr(found, kind)[0])).outputs_twice == 1


@pytest.mark.parametrize("kind", ["drifts", "notifications", "dead_letters"])
def test_a_lost_output_is_found(kind):
    assert compared(lambda found: getattr(found, kind).pop()).outputs_lost == 1


def test_a_failed_notification_is_lost_and_a_suppressed_one_is_not():
    assert compared(lambda found: found.notifications[0].update(outcome="failed")).outputs_lost == 1
    assert compared(lambda found: found.notifications[0].update(outcome="suppressed")).outputs_lost == 0
    superseded = {"outcome": "suppressed", "reason_code": "superseded"}
    assert compared(lambda found: found.notifications[0].update(superseded)).outputs_lost == 1


def test_a_notification_that_the_receiver_never_saw_is_lost():
    assert compare(outcome(), outcome(), records=RECORDS, accepted=[]).outputs_lost == 1


def test_an_added_output_is_a_difference():
    assert compared(lambda found: found.drifts.append({"drift_id": "e", "sequence": 0})).differences


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.counts[1].update(used=6),
        lambda found: found.counts[1].update(records=9, used=6),
        lambda found: found.counts[1].update(used=6, duplicates=2),
    ],
    ids=["used by nobody", "never counted", "counted as another"],
)
def test_an_unaccounted_record_is_found(change):
    assert compared(change).records_unaccounted > 0


@dataclass
class Written:
    """One message of a checkpoint topic."""

    key: bytes
    value: bytes
    offset: int
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    timestamp: int = 0


def checkpoint(sequence: int, offset: int, *, part: bytes = b"state", entry_part: bytes = b"state") -> list[Written]:
    headers, offsets = [(SEQUENCE_HEADER, str(sequence).encode())], {"driftwire.records": offset}
    digest = checkpoint_digest([(b"key", entry_part)], offsets)
    entry = {"format": 2, "sequence": sequence, "digest": digest, "offsets": offsets}
    timestamp = int(time.time() * 1000)
    return [
        Written(b"key", part, 2 * sequence, headers, timestamp),
        Written(ENTRY_KEY, orjson.dumps(entry), 2 * sequence + 1, headers, timestamp),
    ]


def ledger_of(*checkpoints: list[Written]) -> CheckpointLedger:
    ledger = CheckpointLedger(Cluster("127.0.0.1:1"), 1)
    for written in checkpoints:
        for message in written:
            ledger.add(SOURCE, message)
    return ledger


def test_checkpoints_in_order_have_no_problem():
    ledger = ledger_of(checkpoint(1, 5), checkpoint(2, 5), checkpoint(3, 9))
    assert (ledger.count, ledger.torn, ledger.problems) == (3, 0, [])


def test_a_gap_and_a_repetition_are_found():
    assert len(ledger_of(checkpoint(1, 5), checkpoint(3, 9)).problems) == 1
    assert any("checkpoint 2 follows 2" in line for line in ledger_of(*map(checkpoint, (1, 2, 2), (5, 6, 6))).problems)


def test_an_offset_that_goes_back_is_found():
    (problem,) = ledger_of(checkpoint(1, 5), checkpoint(2, 4)).problems
    assert "the offset of driftwire.records decreases from 5 to 4" in problem


def test_a_torn_checkpoint_is_found():
    ledger = ledger_of(checkpoint(1, 5), checkpoint(2, 6, part=b"of another checkpoint"))
    assert ledger.torn == 1


def test_the_size_of_the_state_is_that_of_the_newest_parts():
    written = [*checkpoint(1, 10), *checkpoint(2, 20, part=b"a longer state", entry_part=b"a longer state")]
    newest = {message.key: message.value for message in written}
    expected = sum(len(key) + len(value) for key, value in newest.items())
    ledger = ledger_of(written)
    assert ledger.state_bytes("detect") == expected
    assert ledger.state_bytes("route") == 0
