import random

from pipeline.detect.admission.batch import JOINED_MESSAGES, BatchDecoder
from pipeline.detect.admission.decode import parse_messages
from pipeline.detect.admission.duplicates import hash_contents
from pipeline.detect.admission.reader import RecordReader
from tests.hostile import kinds
from tests.pipeline.detect.records import as_dicts, mixed_records
from tests.pipeline.detect.streams import START_MS, as_json

BYTES_MAX = 1024 * 1024


def test_a_batch_is_decoded_as_if_all_its_messages_were_parsed_at_once():
    rng = random.Random(3)
    values = [as_json(record) for record in mixed_records(rng, 300)]
    values += [as_json(mixed_records(rng, 3)) for _ in range(40)]
    values += [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 10_000]
    rng.shuffle(values)
    parsed = parse_messages(values, bytes_max=BYTES_MAX)
    expected = RecordReader().read(parsed.objects)
    expected.positions, expected.content_hashes = parsed.positions, hash_contents(parsed.contents)
    decoded = BatchDecoder(RecordReader(), bytes_max=BYTES_MAX).decode(values)
    assert as_dicts(decoded.records) == as_dicts(expected)
    assert (decoded.rejections, decoded.array_indexes) == (parsed.rejections, parsed.array_indexes)
    assert len(decoded.rejections) > 10
    assert len(decoded.array_indexes) > 10
    assert max(decoded.array_indexes) > JOINED_MESSAGES


def test_a_batch_without_messages_has_no_records():
    decoded = BatchDecoder(RecordReader(), bytes_max=BYTES_MAX).decode([])
    assert (len(decoded.records), decoded.records.positions, decoded.rejections) == (0, (), [])
