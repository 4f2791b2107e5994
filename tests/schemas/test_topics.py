import pytest

from schemas.topics import RECORDS, TOPICS, checkpoints_topic, topic

ONE_PARTITION = [row for row in TOPICS if row.partitions is not None]


def test_every_topic_has_a_name_of_its_own():
    assert len({row.name for row in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_a_topic_is_written_and_read_by_somebody(row):
    assert row.written_by
    assert row.read_by
    assert row.name.startswith("driftwire.")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_a_compacted_topic_keeps_for_ever_and_another_says_how_long(row):
    assert (row.retention_ms is None) == (row.cleanup == "compact")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_only_checkpoints_carry_no_message_of_the_contract(row):
    assert bool(row.messages) != row.name.endswith("-checkpoints")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_the_messages_of_a_topic_have_its_version(row):
    assert all(message.model_fields["version"].default == row.version for message in row.messages)


def test_only_records_and_what_lies_beside_them_have_partitions_to_choose():
    chosen = {row.name for row in TOPICS if row.partitions is None}
    assert chosen == {RECORDS, checkpoints_topic("detect")}
    assert all(row.partitions == 1 for row in ONE_PARTITION)


def test_a_dead_letter_has_room_for_the_largest_record_in_base64():
    largest = max(row.message_bytes_max for row in TOPICS if "detect" in row.read_by and row.messages)
    assert topic("driftwire.dead-letters").message_bytes_max >= largest * 4 / 3


def test_every_step_reads_its_own_checkpoints():
    for step in ("detect", "correlate", "route"):
        row = topic(checkpoints_topic(step))
        assert row.written_by == row.read_by == (step,)


def test_a_topic_outside_the_contract_is_refused():
    with pytest.raises(KeyError):
        topic("driftwire.gossip")
