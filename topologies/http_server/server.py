"""The HTTP server of ``driftwire worker http``, from its start to its end."""

import asyncio
import signal

from topologies.configuration import Configuration
from topologies.http_server.endpoints import Endpoints
from topologies.http_server.message_writer import MessageWriter
from topologies.http_settings import HttpSettings
from topologies.listener import Listener
from topologies.terminal import echo

STOP_TIMEOUT_S = 7.0
"""Maximum seconds to finish the requests in progress when the server stops."""


async def run_http_server(configuration: Configuration, *, replay: bool) -> None:
    """Serve until SIGTERM or Ctrl-C. Print "http: ready on ADDRESS" when requests are accepted.

    Raises
    ------
    DriftwireError
        If the address cannot be used, or if Kafka does not answer.
    """
    http = configuration.http or HttpSettings()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    writer = MessageWriter(configuration.kafka.cluster)
    await writer.start()
    endpoints = Endpoints(configuration, http, writer, replay=replay)
    listener = Listener(http, endpoints.respond, stop_timeout_s=STOP_TIMEOUT_S)
    try:
        echo(f"http: ready on {await listener.start()}")
        await stopped.wait()
    finally:
        await listener.stop()
        await endpoints.close()
        await writer.stop()
