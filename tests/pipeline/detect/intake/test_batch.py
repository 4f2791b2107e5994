import random

from pipeline.detect.intake.batch import decode_batch
from pipeline.detect.intake.decode import JOINED_MESSAGES, parse_batch
from pipeline.detect.intake.reader import RecordReader
from tests.hostile import kinds
from tests.pipeline.detect.records import plainly, some_records
from tests.pipeline.detect.streams import START_MS, as_json

BYTES_MAX = 1024 * 1024


def test_messages_piece_by_piece_are_what_they_are_at_once():
    rng = random.Random(3)
    values = [as_json(each) for each in some_records(rng, 300)]
    values += [as_json(some_records(rng, 3)) for _ in range(40)]
    values += [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 10_000]
    rng.shuffle(values)
    whole = parse_batch(values, bytes_max=BYTES_MAX)
    read = RecordReader().read(whole.records)
    arrived = decode_batch(values, RecordReader(), bytes_max=BYTES_MAX)
    assert plainly(arrived.read.fields) == plainly(read.fields)
    assert (list(arrived.read.subjects), list(arrived.read.timestamps)) == (list(read.subjects), list(read.timestamps))
    assert (arrived.places, arrived.rejects, arrived.arrays) == (whole.places, whole.rejects, whole.arrays)
    assert len(arrived.rejects) > 10
    assert len(arrived.arrays) > 10
    assert max(arrived.arrays) > JOINED_MESSAGES


def test_no_messages_bring_nothing():
    arrived = decode_batch([], RecordReader(), bytes_max=BYTES_MAX)
    assert (len(arrived.read.fields), arrived.places, arrived.rejects) == (0, [], [])
