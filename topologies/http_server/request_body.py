"""Read the body of a request within limits of bytes and time, and decompress it.

The server decompresses bodies itself, piece by piece, so a small compressed body cannot become a large one in memory.
"""

import asyncio
import zlib

from aiohttp import web

from topologies.http_server.backlog import Reservation
from topologies.listener import HttpProblem

BODY_TIMEOUT_S = 20.0
"""Maximum seconds in which a client must send the body of a request."""

PIECE_BYTES = 64 * 1024
"""Maximum bytes of one step of decompression."""

MEMBERS_MAX = 100
"""Maximum number of gzip members of a body."""

CONTAINERS_MAX = 1_000_000
"""Maximum number of arrays and objects of a JSON body. More of them would take seconds and much memory to decode."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


async def read_body(request: web.BaseRequest, reservation: Reservation, *, bytes_max: int) -> bytes:
    """Read and decompress the body of a request.

    Parameters
    ----------
    request
        The request. Its length and encoding are checked before its body is read.
    reservation
        Reservation of the bytes, of which the larger size counts: before or after decompression.
    bytes_max
        Maximum bytes, before and after decompression.

    Raises
    ------
    HttpProblem
        If the encoding is unknown (415), the body is too large (413), too slow (408), or cannot be decompressed (400).
    BacklogFull
        If too many bytes are waiting.
    ConnectionError
        If the client closes the connection.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise HttpProblem(
            415,
            "the Content-Encoding is not supported: send the body with gzip, or uncompressed",
            headers={"Accept-Encoding": "gzip"},
        )
    length = request.content_length
    if length is not None:
        if length > bytes_max:
            raise _too_large(bytes_max)
        reservation.ensure(length)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    body = await _read(request, reservation, bytes_max)
    return await _decompress(body, reservation, bytes_max) if encoding == "gzip" else body


def check_json(body: bytes) -> None:
    """Refuse a JSON body with so many arrays and objects that decoding it would block the server.

    Raises
    ------
    HttpProblem
        If there are more than :data:`CONTAINERS_MAX` opening brackets and braces, including those in texts.
    """
    if body.count(b"[") + body.count(b"{") > CONTAINERS_MAX:
        raise HttpProblem(413, f"the body has more than {CONTAINERS_MAX:,} arrays and objects: send less at once")


async def _read(request: web.BaseRequest, reservation: Reservation, bytes_max: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while piece := await request.content.readany():
                body += piece
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
                reservation.ensure(len(body))
    except TimeoutError:
        raise HttpProblem(
            408,
            f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s: send it faster, or send less at once",
        ) from None
    except web.RequestPayloadError:
        raise HttpProblem(400, "the body ends early or its chunks are not valid: check Content-Length") from None
    return bytes(body)


async def _decompress(compressed: bytes, reservation: Reservation, bytes_max: int) -> bytes:
    body = bytearray()
    members = 1
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        for start in range(0, len(compressed), PIECE_BYTES):
            piece = compressed[start : start + PIECE_BYTES]
            while piece:
                if member.eof:
                    members += 1
                    if members > MEMBERS_MAX:
                        raise HttpProblem(
                            400, f"the gzip data of the body has more than {MEMBERS_MAX} members: send one"
                        )
                    member = zlib.decompressobj(_GZIP_WINDOW)
                body += member.decompress(piece, PIECE_BYTES)
                piece = member.unused_data if member.eof else member.unconsumed_tail
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
                reservation.ensure(len(body))
                await asyncio.sleep(0)
        # Input is left over only if there is more output, so the last call cannot return much.
        body += member.flush()
    except zlib.error:
        raise HttpProblem(400, "the body is not valid gzip data: check Content-Encoding") from None
    if not member.eof:
        raise HttpProblem(400, "the gzip data of the body ends early: send it again")
    return bytes(body)


def _too_large(bytes_max: int) -> HttpProblem:
    return HttpProblem(
        413,
        f"the body has more than {bytes_max:,} bytes, which is the limit before and after decompression: send less at "
        "once",
    )
