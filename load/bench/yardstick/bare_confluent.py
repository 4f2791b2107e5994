"""A faster floor under every reader: fetch a topic with librdkafka, decode it with msgspec, and do nothing with it.

    BOOTSTRAP=127.0.0.1:9092 TOPIC=driftwire.records PARTITIONS=4 TOTAL=400000 python bare_confluent.py
The clock starts with the first batch.
"""
import os
import time

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

TOTAL = int(os.environ.get("TOTAL", "400000"))


def main() -> None:
    consumer = Consumer({"bootstrap.servers": os.environ["BOOTSTRAP"], "group.id": f"bare-{time.time()}", "enable.auto.commit": False})
    partitions = range(int(os.environ["PARTITIONS"]))
    consumer.assign([TopicPartition(os.environ["TOPIC"], number, OFFSET_BEGINNING) for number in partitions])
    decode = msgspec.json.Decoder().decode
    seen, started = 0, 0.0
    while seen < TOTAL:
        batch = consumer.consume(5000, timeout=1.0)
        if not batch:
            continue
        started = started or time.perf_counter()
        for message in batch:
            if message.error() is None:
                decode(message.value())
                seen += 1
    print(f"{seen / (time.perf_counter() - started):.0f} records/s")
    consumer.close()


main()
