"""Proxy between Kafka clients and a single-node broker. It decodes each request and injects faults.

Clients connect to :attr:`WireProxy.bootstrap`. In answers with the broker's address, the proxy inserts its own address,
so all connections go through the proxy. Faults come from a plan, from :meth:`WireProxy.inject`, or from both.
"""

import asyncio
import math
import struct
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from load.wire.faults import Fault, FaultKind, FaultPlan
from load.wire.protocol import ApiKey, WireRequest, build_error_answer, read_error_code

_WITH_ADDRESSES = {ApiKey.METADATA, ApiKey.FIND_COORDINATOR, ApiKey.DESCRIBE_CLUSTER}
"""Requests whose answers contain the address of the broker."""

_CONNECTION_ENDED = (OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that took effect.

    Attributes
    ----------
    fault, request
        The fault, and the affected request.
    error_code
        Kafka's error code in the broker's answer to a late request or a copy, for INIT_PRODUCER_ID, ADD_OFFSETS_TO_TXN
        and END_TXN. None otherwise.
    """

    fault: Fault
    request: WireRequest
    error_code: int | None = None


class WireProxy:
    """Proxy for a broker without TLS.

    Late requests and copies use separate connections without authentication, so a broker that requires SASL refuses
    them. Error answers are possible only for the request versions that aiokafka sends.

    Parameters
    ----------
    broker
        ``HOST:PORT`` at which the broker listens, exactly as the broker advertises it. The proxy listens on the same host.
    plan
        Faults for all requests. None injects only the faults of :meth:`inject`. It may be replaced at any time.
    port
        Port of the proxy. 0 selects a free port.
    """

    def __init__(self, broker: str, plan: FaultPlan | None = None, *, port: int = 0) -> None:
        self.plan = plan
        self.strikes: list[Strike] = []
        host, _, broker_port = broker.rpartition(":")
        self.host = host
        self.broker_port = int(broker_port)
        self.port = port
        self._injected: list[Fault] = []
        self._held: list[_HeldRequest] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def bootstrap(self) -> str:
        """Address for clients as ``host:port``. Valid once the proxy has started."""
        return f"{self.host}:{self.port}"

    @property
    def counts(self) -> Counter[str]:
        """Number of faults that have taken effect, by :attr:`Fault.name`."""
        return Counter(strike.fault.name for strike in self.strikes)

    def inject(self, fault: Fault) -> None:
        """Apply a fault to the next request that it matches, ahead of the faults of the plan."""
        self._injected.append(fault)

    async def deliver_late_requests(self) -> None:
        """Deliver all late requests that are still held."""
        held = list(self._held)
        for late in held:
            late.release.set()
        await asyncio.gather(*(late.delivery for late in held))

    async def start(self) -> None:
        """Listen for clients."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close all connections. Held requests are not delivered."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._connections, *(late.delivery for late in self._held)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  asyncio runs this callback as a task
        self._connections.add(task)
        try:
            # asyncio would log the cancellation by stop() as an error.
            with suppress(*_CONNECTION_ENDED, asyncio.CancelledError):
                await _Connection(self, reader, writer).run()
        finally:
            self._connections.discard(task)
            await _close(writer)

    def choose_fault(self, request: WireRequest) -> Fault | None:
        """Return the fault for a request, or None."""
        for fault in self._injected:
            if fault.api_key == request.api_key and (fault.matches is None or fault.matches(request)):
                self._injected.remove(fault)
                return fault
        return self.plan.next_fault(request) if self.plan is not None else None

    def count(self, fault: Fault, request: WireRequest) -> None:
        """Record that a fault has had its effect."""
        self.strikes.append(Strike(fault, request))

    def hold(self, fault: Fault, request: WireRequest) -> None:
        """Deliver a request to the broker later, on a separate connection."""
        release = asyncio.Event()
        delivery = asyncio.create_task(self._deliver_later(fault, request, release))
        late = _HeldRequest(fault, release, delivery)
        self._held.append(late)
        delivery.add_done_callback(lambda _: self._held.remove(late))

    async def deliver_before(self, request: WireRequest) -> None:
        """Deliver the held requests that are due immediately before this request."""
        for late in [late for late in self._held if late.fault.before is not None and late.fault.before(request)]:
            late.release.set()
            await late.delivery

    async def deliver(self, fault: Fault, request: WireRequest) -> None:
        """Deliver a request to the broker on a separate connection, and record that the fault took effect."""
        reader, writer = await asyncio.open_connection(self.host, self.broker_port)
        try:
            await _write_frame(writer, request.frame)
            answer = await _read_frame(reader) if request.is_answered else b""
        finally:
            await _close(writer)
        self.strikes.append(Strike(fault, request, read_error_code(request, answer)))

    async def _deliver_later(self, fault: Fault, request: WireRequest, release: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(fault.seconds) else fault.seconds):
                await release.wait()
        # If the broker is down, the request is lost and does not count.
        with suppress(*_CONNECTION_ENDED):
            await self.deliver(fault, request)


@dataclass(frozen=True, slots=True, eq=False)
class _HeldRequest:
    """Held request, which the broker receives after a delay, or as soon as ``release`` is set."""

    fault: Fault
    release: asyncio.Event
    delivery: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _PendingAnswer:
    """Request whose answer the client awaits.

    Attributes
    ----------
    fault
        The fault, if its kind is ``DROP_ANSWER`` or ``ERROR``.
    answer
        The answer of an ``ERROR``, which does not come from the broker.
    """

    request: WireRequest
    fault: Fault | None = None
    answer: bytes | None = None


class _Connection:
    """Connection of a client, and the matching connection to the broker, which answers in the order of requests."""

    def __init__(self, proxy: WireProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client_reader = reader
        self._client_writer = writer
        self._pending: deque[_PendingAnswer] = deque()
        self._is_silent = False
        self._broker_address = _address_bytes(proxy.host, proxy.broker_port)
        self._proxy_address = _address_bytes(proxy.host, proxy.port)

    async def run(self) -> None:
        """Forward requests and answers until either side or a fault closes the connection."""
        reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.broker_port)
        tasks = [
            asyncio.create_task(self._forward_requests(writer)),
            asyncio.create_task(self._forward_answers(reader)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            writer.close()  # before any await, which stop() may cancel
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _close(writer)

    async def _forward_requests(self, broker: asyncio.StreamWriter) -> None:
        is_open = True
        while is_open:
            request = WireRequest.decode(await _read_frame(self._client_reader))
            await self._proxy.deliver_before(request)
            fault = self._proxy.choose_fault(request)
            if fault is None:
                await self._forward(request, broker)
            else:
                is_open = await self._apply(fault, request, broker)

    async def _apply(self, fault: Fault, request: WireRequest, broker: asyncio.StreamWriter) -> bool:
        """Apply a fault to a request. Return whether the connection stays open."""
        match fault.kind:
            case FaultKind.DROP_REQUEST:
                self._is_silent = True
                self._proxy.count(fault, request)
                await asyncio.sleep(fault.seconds)
                return False
            case FaultKind.DROP_ANSWER:
                await self._forward(request, broker, fault)
                await asyncio.Event().wait()  # The connection ends with the answer, or when the broker stops.
                return False
            case FaultKind.DELAY:
                await asyncio.sleep(fault.seconds)
                await self._forward(request, broker)
                self._proxy.count(fault, request)
                return True
            case FaultKind.LATE:
                self._proxy.hold(fault, request)
                return False
            case FaultKind.DUPLICATE:
                await self._proxy.deliver(fault, request)
                await self._forward(request, broker)
                return True
            case FaultKind.ERROR:
                answer = build_error_answer(request, fault.error_code)
                self._pending.append(_PendingAnswer(request, fault, answer))
                await self._send_prepared_answers()
                return True
            case FaultKind.CUT:
                frame = request.frame
                broker.write(struct.pack(">i", len(frame)) + frame[: len(frame) // 2])
                await broker.drain()
                self._proxy.count(fault, request)
                return False

    async def _forward(self, request: WireRequest, broker: asyncio.StreamWriter, fault: Fault | None = None) -> None:
        if request.is_answered:
            self._pending.append(_PendingAnswer(request, fault))
        await _write_frame(broker, request.frame)

    async def _forward_answers(self, broker: asyncio.StreamReader) -> None:
        while True:
            answer = await _read_frame(broker)
            pending = self._pending.popleft()
            if pending.fault is not None:
                self._proxy.count(pending.fault, pending.request)
                await asyncio.sleep(pending.fault.seconds)
                return
            if self._is_silent:
                continue
            if pending.request.api_key in _WITH_ADDRESSES:
                answer = answer.replace(self._broker_address, self._proxy_address)
            await _write_frame(self._client_writer, answer)
            await self._send_prepared_answers()

    async def _send_prepared_answers(self) -> None:
        """Send the error answers that are next in order."""
        while self._pending and self._pending[0].answer is not None:
            pending = self._pending.popleft()
            if pending.fault is not None and pending.answer is not None:
                await _write_frame(self._client_writer, pending.answer)
                self._proxy.count(pending.fault, pending.request)


def _address_bytes(host: str, port: int) -> bytes:
    """Return an address as all versions of the protocol encode it, preceded by the length of the host."""
    return host.encode() + struct.pack(">i", port)


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


async def _write_frame(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.writelines((struct.pack(">i", len(frame)), frame))
    await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
