"""Damage to batches in the log of a stopped broker."""

import struct
from pathlib import Path

from aiokafka.record.util import calc_crc32c

ATTRIBUTES_AT = 21
CONTENT_AT = 61


def damage_batch(data_folder: Path, topic: str, partition: int, offset: int, *, fix_checksum: bool) -> None:
    """Overwrite the end of the batch that contains an offset, and optionally write a matching checksum.

    Kafka does not verify the checksums of a properly closed log; it sends the bytes unchanged.
    """
    (segment,) = (data_folder / "kafka" / f"{topic}-{partition}").glob("*.log")
    data = bytearray(segment.read_bytes())
    at = 0
    while at < len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        (last_delta,) = struct.unpack_from(">i", data, at + 23)
        if base <= offset <= base + last_delta:
            content = slice(max(at + CONTENT_AT, end - 40), end)
            data[content] = b"\xa5" * (content.stop - content.start)
            if fix_checksum:
                data[at + 17 : at + 21] = struct.pack(">I", calc_crc32c(bytes(data[at + ATTRIBUTES_AT : end])))
            segment.write_bytes(data)
            return
        at = end
    raise AssertionError(f"no batch of {topic} partition {partition} contains the offset {offset}")
