"""Settings of the embedded broker and its Java process: one node that starts quickly and needs little memory."""

from schemas.topics import MEBIBYTE

MESSAGE_BYTES_MAX = 17 * MEBIBYTE
"""Maximum size of a batch in any topic, in bytes: slightly more than the largest limit in ``schemas/topics.py``."""

JVM_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=temporary",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

_SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{host}:{controller_port}
log.dirs={store}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes={message_bytes_max}
replica.fetch.max.bytes={message_bytes_max}
log.segment.bytes=134217728
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
num.io.threads=4
num.network.threads=2
"""


def server_properties(host: str, port: int, controller_port: int, store: str) -> str:
    """Return the content of Kafka's ``server.properties``.

    Parameters
    ----------
    host, port, controller_port
        Addresses of the listeners for clients and for the controller.
    store
        Folder of the messages, relative to the working directory. An absolute path could contain commas and
        backslashes, which are special in this format.
    """
    return _SETTINGS.format(
        host=host,
        port=port,
        controller_port=controller_port,
        store=store,
        message_bytes_max=MESSAGE_BYTES_MAX,
    )
