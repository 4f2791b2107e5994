"""The client. Serving code puts calls into a bounded queue, and one thread sends them."""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftwire_client.fields import DeploymentFields, OutcomeFields, RecordFields
from driftwire_client.message import UnusableMessage, encode_deployment, encode_outcome, encode_record
from driftwire_client.security import SecurityOptions, librdkafka_options

RECORDS = "driftwire.records"
DEPLOYMENTS = "driftwire.deployments"

QUEUE_BYTES_MAX = 64 * 1024 * 1024
"""Maximum bytes of calls that wait for the thread, and of messages that wait for Kafka."""

CLOSE_TIMEOUT_S_MAX = 3600.0

BATCH_MESSAGES = 100
"""Messages that the thread encodes before it reads Kafka's answers. Higher values make other threads wait longer."""

POLL_S = 0.1
"""Maximum seconds before the thread looks into the queue again."""

PROBLEM_AFTER_S = 5.0
"""Seconds without an answer from Kafka that are logged as a problem."""

CONNECT_RETRY_S = 5.0
"""Seconds between two attempts with options that librdkafka does not accept, such as a damaged certificate."""

WARNINGS_MAX = 20
"""Maximum number of different warnings about calls. Each is logged once."""

UNDELIVERED = (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT)  # noqa: SLF001  librdkafka's own codes begin like this

_NUMBERS = frozenset((bool, int, float, type(None)))

logger = logging.getLogger("driftwire_client")

_Call = tuple[str, Callable[..., tuple[bytes, bytes]], dict[str, Any], int, int]
"""Topic, encoder, fields, time of the call (Unix ms), and estimated bytes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of the calls in this process: ``called`` is the sum of ``sent``, ``waiting`` and all ``dropped``.

    Attributes
    ----------
    sent
        Calls whose message Kafka confirmed.
    waiting
        Calls whose message waits, or is on the way.
    dropped
        Dropped calls by reason. ``queue_full``: too many waited, or too many bytes. ``invalid``: there was no usable subject or request id.
        ``closed``: the client was closed. ``refused``: Kafka refused the message. ``undelivered``: Kafka did not confirm
        the message within five minutes or before the client was closed. The message may have arrived nevertheless.
    """

    called: int
    sent: int
    waiting: int
    dropped: dict[str, int]


class Client:
    """Sends records, late outcomes and deployments to driftwire.

    :meth:`record`, :meth:`outcome` and :meth:`deployed` return at once and never raise an error, even if a value is
    invalid or Kafka is unreachable. What cannot be sent is dropped and counted. The methods may be called from any
    thread, from coroutines, and after a fork: each process connects for itself, at its first call. Monkey-patched
    threads, such as those of gevent, are not supported.

    Parameters
    ----------
    bootstrap
        Kafka address as ``HOST:PORT``, or several separated by commas.
    subject, environment, provider, provider_model, versions, segment
        Labels of all records. A record can override them. ``versions`` and ``segment`` are merged by key.
    queue_records
        Maximum number of calls that wait. Higher values bridge longer outages and use more memory.
    close_timeout_s
        Maximum seconds that :meth:`close` waits for Kafka. Higher values can delay the end of the process.
    security
        TLS and SASL options, with the names of driftwire's ``[kafka.security]``. Without them, connections are plain.

    Raises
    ------
    ValueError
        If an option is wrong or a file cannot be read. A connection is not attempted.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        subject: str | None = None,
        environment: str | None = None,
        provider: str | None = None,
        provider_model: str | None = None,
        versions: Mapping[str, str | int | bool] | None = None,
        segment: Mapping[str, str | int | bool] | None = None,
        queue_records: int = 10_000,
        close_timeout_s: float = 5.0,
        security: SecurityOptions | None = None,
    ) -> None:
        if not bootstrap:
            raise ValueError(f"bootstrap must be HOST:PORT, not {bootstrap!r}")
        if queue_records < 1:
            raise ValueError(f"queue_records must be at least 1, not {queue_records}")
        if not 0 <= close_timeout_s <= CLOSE_TIMEOUT_S_MAX:
            raise ValueError(f"close_timeout_s must be from 0 to {CLOSE_TIMEOUT_S_MAX:g}, not {close_timeout_s}")
        labels = {
            "subject": subject,
            "environment": environment,
            "provider": provider,
            "provider_model": provider_model,
            "versions": dict(versions) if versions else None,
            "segment": dict(segment) if segment else None,
        }
        self._defaults = {name: value for name, value in labels.items() if value is not None}
        self._bootstrap = bootstrap
        self._queue_records = queue_records
        self._close_timeout_s = close_timeout_s
        self._options = {
            **librdkafka_options(security or {}),
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",  # as other clients of Kafka choose the partition of a subject
            "queue.buffering.max.messages": queue_records + 1,
            "queue.buffering.max.kbytes": QUEUE_BYTES_MAX // 1024,
            "log_level": 0,
            "error_cb": self._note_error,
        }
        self._is_closed = False
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        """Begin without calls and without a thread, at the start or in a forked process.

        The producer is a local variable of the thread. In a forked process, which does not have the threads of librdkafka,
        nobody can therefore use or destroy it.
        """
        self._lock = threading.RLock()  # reentrant, because a signal handler may call the client too
        self._queue: deque[_Call] = deque()
        self._queue_bytes = 0
        self._called = 0
        self._sent = 0
        self._waiting = 0
        self._dropped: Counter[str] = Counter()
        self._is_settled = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._finished = threading.Event()
        self._close_at = 0.0
        self._warnings: set[str] = set()
        self._problem: str | None = None
        self._error = "no answer"
        self._dropped_before = 0

    def record(self, /, **fields: Unpack[RecordFields]) -> None:
        """Send one served request. Without a ``timestamp``, the request ended now."""
        self._put(RECORDS, encode_record, cast("dict[str, Any]", fields))

    def outcome(self, /, request_id: str | int, **fields: Unpack[OutcomeFields]) -> None:
        """Send a late outcome of a request, such as a thumbs-down. It is not counted as another request."""
        self._put(RECORDS, encode_outcome, {"request_id": request_id, **fields})

    def deployed(self, /, **fields: Unpack[DeploymentFields]) -> None:
        """Send a change to the system behind a subject, an environment or a provider."""
        self._put(DEPLOYMENTS, encode_deployment, cast("dict[str, Any]", fields))

    def counts(self) -> Counts:
        """Return the counts of the calls so far."""
        with self._lock:
            return Counts(self._called, self._sent, self._waiting, dict(self._dropped))

    def close(self) -> None:
        """Send the waiting messages for at most ``close_timeout_s``, and drop the rest. Later calls are dropped.

        It is called at the end of the program and of a ``with`` block.
        """
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            self._close_at = time.monotonic() + self._close_timeout_s
            self._closing.set()
            self._finished.wait(self._close_timeout_s + 1.0)
        with self._lock:
            undelivered, self._waiting = self._waiting, 0
            self._is_settled = True
            if undelivered:
                self._dropped["undelivered"] += undelivered
        if undelivered:
            self._log("closed before Kafka at %s confirmed %d records", self._bootstrap, undelivered)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, topic: str, encode: Callable[..., tuple[bytes, bytes]], fields: dict[str, Any]) -> None:
        try:
            size = _copy_values(fields)
            call = (topic, encode, fields, time.time_ns() // 1_000_000, size)
            with self._lock:
                self._called += 1
                if self._is_closed:
                    self._dropped["closed"] += 1
                elif self._waiting >= self._queue_records or self._queue_bytes + size > QUEUE_BYTES_MAX:
                    self._dropped["queue_full"] += 1
                else:
                    self._waiting += 1
                    self._queue_bytes += size
                    self._queue.append(call)
                    if self._thread is None:
                        self._start()
        except Exception:  # noqa: BLE001, S110  serving code comes first; the counts show what is missing
            pass

    def _start(self) -> None:
        # Known before it starts: a signal handler that calls the client meanwhile must not start another one.
        self._thread = threading.Thread(target=self._run, name="driftwire-client", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the program ends, or has too many threads; the next call tries again
            self._thread = None

    def _run(self) -> None:
        try:
            producer = self._connect()
            if producer is not None:
                self._send(producer)
        finally:
            self._finished.set()

    def _connect(self) -> Producer | None:
        while True:
            try:
                return Producer(self._options)
            except Exception as error:  # noqa: BLE001  the thread must go on, or nothing is sent later
                self._begin_problem(str(error))
            if self._closing.wait(CONNECT_RETRY_S):
                return None

    def _send(self, producer: Producer) -> None:
        """Send until the client is closed."""
        sent, answered_at = self._sent, time.monotonic()
        while not self._closing.is_set():
            self._produce_batch(producer)
            producer.poll(0 if self._queue else POLL_S)
            if self._sent != sent or len(producer) == 0:
                if self._sent != sent:
                    self._end_problem()
                sent, answered_at = self._sent, time.monotonic()
            elif time.monotonic() - answered_at > PROBLEM_AFTER_S:
                self._begin_problem(self._error)
        while self._queue and time.monotonic() < self._close_at:
            self._produce_batch(producer)
        producer.flush(max(0.0, self._close_at - time.monotonic()))

    def _produce_batch(self, producer: Producer) -> None:
        for _ in range(min(len(self._queue), BATCH_MESSAGES)):
            topic, encode, fields, now_ms, size = self._queue.popleft()
            with self._lock:
                self._queue_bytes -= size
            try:
                key, value = encode(fields, self._defaults, now_ms, self._warn_unknown)
                producer.produce(topic, value, key, on_delivery=self._count_delivery)
            except BufferError:
                self._drop("queue_full")
            except KafkaException as error:
                self._refuse(error.args[0])
            except UnusableMessage as error:
                self._drop("invalid")
                self._warn(f"a call was dropped: {error}")
            except BaseException as error:  # noqa: BLE001  a value of the caller can raise anything
                self._drop("invalid")
                self._warn(f"a call was dropped: {type(error).__name__}")

    def _count_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            with self._lock:
                if not self._is_settled:
                    self._sent += 1
                    self._waiting -= 1
        elif error.code() in UNDELIVERED:
            self._drop("undelivered")
        else:
            self._refuse(error)

    def _refuse(self, error: KafkaError) -> None:
        self._drop("refused")
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._warn("a message was dropped: it is larger than Kafka accepts")
        else:
            self._begin_problem(error.str())

    def _drop(self, reason: str) -> None:
        with self._lock:
            if not self._is_settled:
                self._dropped[reason] += 1
                self._waiting -= 1

    def _note_error(self, error: KafkaError) -> None:
        # The error that all brokers are down follows the error with the cause.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  librdkafka's own codes begin like this
            self._error = error.str()

    def _begin_problem(self, reason: str) -> None:
        if self._problem is None:
            self._problem = reason
            self._dropped_before = self._dropped.total()
            self._log(
                "Kafka at %s does not accept records (%s); up to %d records wait",
                self._bootstrap,
                reason,
                self._queue_records,
            )

    def _end_problem(self) -> None:
        if self._problem is not None:
            self._problem = None
            self._error = "no answer"
            dropped = self._dropped.total() - self._dropped_before
            self._log(
                "Kafka at %s accepts records again; %d records were dropped in the meantime", self._bootstrap, dropped
            )

    def _warn_unknown(self, name: str) -> None:
        self._warn(f"a field was left out: {name[:50]!r} is unknown here")

    def _warn(self, text: str) -> None:
        if text not in self._warnings and len(self._warnings) < WARNINGS_MAX:
            self._warnings.add(text)
            self._log("%s (further ones are only counted)", text)

    def _log(self, text: str, *values: object) -> None:
        with suppress(Exception):  # a log handler of the application may raise; sending goes on
            logger.warning(text, *values)


def _copy_values(fields: dict[str, Any]) -> int:
    """Copy what the caller may change before the thread reads it. Returns the estimated memory of the values (bytes)."""
    size = 0
    for name, value in fields.items():
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind is dict:
            fields[name] = value.copy()
            size += sum([len(part) for part in value.values() if type(part) is str])
        elif kind is list or kind is tuple:
            fields[name] = value[:]
            size += 32 * len(value)  # an address and a float object each
        elif kind not in _NUMBERS:
            size += sys.getsizeof(value)
    return size


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _reset_all() -> None:
    for client in list(_clients):
        client._reset()  # noqa: SLF001  this module's own


def _close_all() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_reset_all)
atexit.register(_close_all)
