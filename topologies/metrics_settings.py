"""Settings of the server of each worker's metrics and health."""

from typing import ClassVar

from pydantic import Field

from topologies.listener_settings import ListenerSettings


class MetricsSettings(ListenerSettings):
    """The server of a worker's metrics and health.

    >>> MetricsSettings().address
    ('127.0.0.1', 9464)
    """

    prefix: ClassVar[str] = "metrics."

    listen: str = Field(
        default="127.0.0.1:9464",
        description="Address of the server of a worker, HOST:PORT. driftwire up gives this port to its first worker and the "
        "next ports to the others. Port 0 selects a free port for each worker. Any address except the loopback address needs "
        "token_file, or client_ca_file with certificate_file and key_file.",
    )
    token_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the token that clients of /metrics send as Authorization: Bearer TOKEN. A new token needs no "
        "restart. /healthz and /readyz need no token.",
    )
