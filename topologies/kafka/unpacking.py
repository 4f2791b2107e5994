"""Decompression of record batches within a limit.

aiokafka decompresses batches of any size, so a small batch could exhaust a worker's memory.
"""

import mmap
import struct
from typing import Any

import cramjam

UNPACKED_BYTES_MAX = 64 * 1024 * 1024
"""Maximum bytes of a decompressed batch. Larger batches are not read: a few kilobytes can unpack to gigabytes."""

_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16

_TOO_LARGE = f"the batch unpacks to more than {UNPACKED_BYTES_MAX} bytes"


class DamagedBatch(Exception):
    """A batch cannot be read. The message is a sentence that contains nothing from the batch."""


def unpack(codec: int, data: bytes) -> bytes:
    """Decompress the records of a batch.

    Raises
    ------
    DamagedBatch
        If the codec is unknown, if the data is damaged, or if it unpacks to more than :data:`UNPACKED_BYTES_MAX`.
    """
    unpackers = {_GZIP: _unpack_gzip, _SNAPPY: _unpack_snappy, _LZ4: _unpack_lz4, _ZSTD: _unpack_zstd}
    if codec not in unpackers:
        raise DamagedBatch(f"the batch is compressed with the unknown codec {codec}")
    try:
        return unpackers[codec](data)
    except (cramjam.DecompressionError, struct.error) as error:
        raise DamagedBatch("the compressed contents of the batch are damaged") from error


def _unpack_gzip(data: bytes) -> bytes:
    return _unpack_into(cramjam.gzip.decompress_into, data)


def _unpack_snappy(data: bytes) -> bytes:
    """Unpack plain snappy, or the blocks that Java's snappy library writes."""
    if not data.startswith(_XERIAL_MAGIC):
        return _unpack_snappy_block(data, UNPACKED_BYTES_MAX)
    blocks = []
    left = UNPACKED_BYTES_MAX
    position = _XERIAL_HEADER_BYTES
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        position += 4
        blocks.append(_unpack_snappy_block(data[position : position + length], left))
        left -= len(blocks[-1])
        position += length
    return b"".join(blocks)


def _unpack_snappy_block(data: bytes, bytes_max: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(data) > bytes_max:
        raise DamagedBatch(_TOO_LARGE)
    return bytes(cramjam.snappy.decompress_raw(data))


def _unpack_lz4(data: bytes) -> bytes:
    return _unpack_into(cramjam.lz4.decompress_into, data)


def _unpack_zstd(data: bytes) -> bytes:
    return _unpack_into(cramjam.zstd.decompress_into, data)


def _unpack_into(decompress_into: Any, data: bytes) -> bytes:
    # The system allocates memory only for the parts of this mapping that are written.
    with mmap.mmap(-1, UNPACKED_BYTES_MAX + 1) as unpacked:
        try:
            length = decompress_into(data, unpacked)
        except cramjam.DecompressionError as error:
            if "whole buffer" in str(error):
                raise DamagedBatch(_TOO_LARGE) from error
            raise
        return unpacked[:length]
