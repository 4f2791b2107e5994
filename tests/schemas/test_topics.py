import pytest

from schemas.topics import OF_INPUTS, RECORDS, TOPICS, checkpoints_topic, topic

ONE_PARTITION = [row for row in TOPICS if row.partitions not in (None, OF_INPUTS)]


def test_topic_names_are_unique():
    assert len({row.name for row in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_every_topic_has_writers_and_readers(row):
    assert row.written_by
    assert row.read_by
    assert row.name.startswith("driftwire.")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_only_compacted_topics_have_no_retention(row):
    assert (row.retention_ms is None) == (row.cleanup == "compact")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_only_checkpoints_have_no_messages(row):
    assert bool(row.messages) != row.name.endswith("-checkpoints")


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_the_messages_of_a_topic_have_its_version(row):
    assert all(message.model_fields["version"].default == row.version for message in row.messages)


def test_only_records_and_their_checkpoints_have_configurable_partitions():
    configurable = {row.name for row in TOPICS if row.partitions is None}
    assert configurable == {RECORDS, checkpoints_topic("detect")}
    assert all(row.partitions == 1 for row in ONE_PARTITION)
    assert [row.name for row in TOPICS if row.partitions == OF_INPUTS] == [checkpoints_topic("intake")]


def test_a_dead_letter_has_room_for_the_largest_record_in_base64():
    largest = max(row.message_bytes_max for row in TOPICS if "detect" in row.read_by and row.messages)
    assert topic("driftwire.dead-letters").message_bytes_max >= largest * 4 / 3


def test_every_step_reads_its_own_checkpoints():
    for step in ("intake", "detect", "correlate", "route"):
        row = topic(checkpoints_topic(step))
        assert row.written_by == row.read_by == (step,)


def test_an_unknown_topic_is_refused():
    with pytest.raises(KeyError):
        topic("driftwire.gossip")
