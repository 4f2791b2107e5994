import random
import struct
import tracemalloc

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from topologies.kafka import record_batches
from topologies.kafka.record_batches import TAKEN_BYTES_MAX, BatchReader, FetchedBytes, UnreadableBatch
from topologies.kafka.unpacking import UNPACKED_BYTES_MAX

PARTITION = TopicPartition("driftwire.records", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ATTRIBUTES_AT = 21
CONTENT_AT = 61


@pytest.fixture(autouse=True)
def _nothing_seen():
    record_batches._seen_once.clear()


def batch(
    base_offset=0, count=3, *, codec="none", value=b"value", headers=(), transaction=False, producer_id=-1
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], transaction, producer_id, 0, 0, 1 << 30)
    for number in range(count):
        builder.append(number, 1_000 + number, b"key", value, list(headers))
    data = bytearray(builder.build())
    data[:8] = struct.pack(">q", base_offset)
    return bytes(data)


def with_checksum(data: bytes) -> bytes:
    return data[:17] + struct.pack(">I", calc_crc32c(data[ATTRIBUTES_AT:])) + data[ATTRIBUTES_AT:]


def with_content(data: bytes, content: bytes, codec: int) -> bytes:
    """Replace the compressed records of a batch, with a correct checksum and length."""
    attributes = struct.pack(">h", codec)
    changed = data[:ATTRIBUTES_AT] + attributes + data[ATTRIBUTES_AT + 2 : CONTENT_AT] + content
    return with_checksum(changed[:8] + struct.pack(">i", len(changed) - 12) + changed[12:])


def reader(data: bytes, offset: int = 0, aborted=None) -> BatchReader:
    return BatchReader(PARTITION, FetchedBytes(data), aborted, offset, None, None, True, 1)


def read_all(data: bytes, end: int, aborted=None) -> list:
    """Read like a consumer: fetch repeatedly from the position until the position is ``end``."""
    position, messages = 0, []
    for _ in range(100):
        if position >= end:
            return messages
        starts = batch_starts(data)
        start = max(at for at, base in starts if base <= position)
        fetch = reader(data[start:], position, aborted)
        while not fetch.is_finished:
            messages += fetch.take(2)
        position = fetch.next_fetch_offset
    pytest.fail(f"the position stays at {position}")


def batch_starts(data: bytes) -> list[tuple[int, int]]:
    starts, at = [], 0
    while at < len(data):
        base, length = struct.unpack_from(">qi", data, at)
        starts.append((at, base))
        at += 12 + length
    return starts


@pytest.mark.parametrize("codec", CODECS)
def test_messages_of_every_codec_are_read(codec):
    messages = reader(batch(5, codec=codec), 6).take(10)
    assert [(m.topic, m.partition, m.offset, m.timestamp, m.key, m.value) for m in messages] == [
        ("driftwire.records", 3, offset, 1_000 + offset - 5, b"key", b"value") for offset in (6, 7)
    ]


def test_snappy_without_java_framing_and_gzip_of_several_members_are_read():
    content = batch()[CONTENT_AT:]
    plain = with_content(batch(), bytes(cramjam.snappy.compress_raw(content)), CODECS["snappy"])
    members = b"".join(bytes(cramjam.gzip.compress(part)) for part in (content[:5], content[5:]))
    for data in (plain, with_content(batch(), members, CODECS["gzip"])):
        assert [message.offset for message in reader(data).take(10)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (batch(3)[:-1] + b"\xff", "the checksum of the batch is wrong"),
        (with_content(batch(3), b"junk" * 9, 1), "the compressed contents of the batch are damaged"),
        (with_content(batch(3), b"junk" * 9, 2), "the compressed contents of the batch are damaged"),
        (with_content(batch(3), b"junk" * 9, 3), "the compressed contents of the batch are damaged"),
        (with_content(batch(3), b"junk" * 9, 4), "the compressed contents of the batch are damaged"),
        (with_content(batch(3), b"junk" * 9, 0), "the contents of the batch are damaged"),
        (with_content(batch(3), b"junk" * 9, 6), "the batch is compressed with the unknown codec 6"),
        (batch(3)[:16] + b"\x03" + batch(3)[17:], "the batch has the record format 3 instead of 2"),
    ],
)
def test_an_unreadable_batch_is_reported_alone_and_the_messages_around_it_are_read(bad, detail):
    items = read_all(batch(0) + bad + batch(6), end=9)
    assert [item.offset for item in items] == [0, 1, 2, 3, 6, 7, 8]
    assert items[3] == UnreadableBatch("driftwire.records", 3, 3, 5, items[3].timestamp, detail)


def test_a_batch_that_the_network_damaged_is_read_at_the_second_fetch():
    assert reader(batch()[:-1] + b"\xff").take(10) == []
    assert [message.offset for message in reader(batch()).take(10)] == [0, 1, 2]


def test_a_damaged_header_never_moves_the_position_beyond_one_message():
    data = bytearray(batch())
    data[23:27] = struct.pack(">i", 2_000_000_000)  # the offset of the last message, relative to the first
    reader(bytes(data)).take(10)
    (item,) = reader(bytes(data)).take(10)
    assert (item.offset, item.last_offset) == (0, 0)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_too_much_is_skipped_without_the_memory_for_it(codec):
    bomb = batch(codec=codec, count=1, value=bytes(UNPACKED_BYTES_MAX))
    tracemalloc.start()
    reader(bomb).take(10)
    (item,) = reader(bomb).take(10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert item.detail == "the batch unpacks to more than 67108864 bytes"
    assert peak < 2.2 * UNPACKED_BYTES_MAX


def test_a_list_of_messages_ends_after_a_limit_of_bytes():
    one = batch(count=1, codec="zstd", value=bytes(TAKEN_BYTES_MAX // 2))
    fetch = reader(b"".join(struct.pack(">q", offset) + one[8:] for offset in range(9)))
    lists = []
    while taken := fetch.take(1_000):
        lists.append([message.offset for message in taken])
    assert lists == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]


def test_a_header_with_a_name_that_is_not_utf8_does_not_lose_its_record():
    data = batch(headers=[("name", b"value")]).replace(b"name", b"\xff\xfe\xfd\xfc")
    messages = reader(with_checksum(data)).take(10)
    assert [(m.offset, m.timestamp, m.key, m.value) for m in messages] == [
        (offset, 1_000 + offset, b"key", b"value") for offset in range(3)
    ]


def test_messages_of_aborted_transactions_are_skipped_and_later_ones_of_the_producer_are_read():
    marker = bytearray(batch(3, count=1, transaction=True, producer_id=7))
    marker[ATTRIBUTES_AT + 1] |= 0x20
    data = (
        batch(0, transaction=True, producer_id=7)
        + with_checksum(bytes(marker))
        + batch(4, transaction=True, producer_id=7)
        + batch(7, transaction=True, producer_id=8)
    )
    assert [m.offset for m in reader(data, 0, [(7, 0)]).take(100)] == [4, 5, 6, 7, 8, 9]


def test_the_incomplete_batch_at_the_end_of_a_fetch_is_fetched_again():
    fetch = reader(batch(0) + batch(3)[:-4])
    assert [message.offset for message in fetch.take(100)] == [0, 1, 2]
    assert fetch.next_fetch_offset == 3


@pytest.mark.parametrize("codec", CODECS)
def test_any_damaged_byte_gives_messages_or_a_report_and_the_position_advances(codec):
    generator = random.Random(1)
    good = batch(codec=codec, count=20)
    for at in range(8, len(good)):  # the first bytes are the offset, which the checksum does not cover
        damaged = good[:at] + bytes([good[at] ^ generator.randrange(1, 256)]) + good[at + 1 :]
        if at >= ATTRIBUTES_AT and generator.random() < 0.5:
            damaged = with_checksum(damaged)
        position = 0
        for _ in range(60):
            fetch = reader(damaged, position)
            while not fetch.is_finished:
                fetch.take(7)
            assert fetch.next_fetch_offset >= position
            position = fetch.next_fetch_offset
        assert position >= 20
