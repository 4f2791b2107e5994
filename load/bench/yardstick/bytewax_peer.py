"""A peer as the yardstick of the benchmarks: Bytewax, keyed by subject, river's detectors on every signal of every subject.

Run it against a topic filled with records of the contract (all 22 signals present), in an environment of its own (`pip install bytewax[kafka] orjson river`):
    BOOTSTRAP=127.0.0.1:9092 TOPIC=driftwire.records TOTAL=60000 python bytewax_peer.py
The clock starts at the first record. With DETECT=0 it does nothing with a record: its own ceiling.
"""
import os
import time

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from river.drift import ADWIN, PageHinkley

SIGNALS = {
    "infrastructure": ["latency_ms", "time_to_first_token_ms", "error", "input_tokens", "output_tokens", "queue_depth", "gpu_utilization", "cpu_utilization"],
    "output": ["length", "refused", "confidence", "similarity", "empty", "thumbs_down"],
    "data": ["retrieval_score", "feature_age_s", "null_fraction", "schema_valid"],
    "safety": ["filter_triggered", "policy_violation", "injection_score", "pii_detected"],
}
TOTAL = int(os.environ.get("TOTAL", "60000"))
DETECT = os.environ.get("DETECT", "1") == "1"
state = {"seen": 0, "started": 0.0}


def parse(message):
    state["started"] = state["started"] or time.perf_counter()
    record = orjson.loads(message.value)
    return record["subject"], record


def detect(detectors, record):
    if DETECT:
        if detectors is None:
            detectors = {(layer, name): (ADWIN(), PageHinkley()) for layer, names in SIGNALS.items() for name in names}
        for (layer, name), pair in detectors.items():
            value = float(record[layer][name])
            for detector in pair:
                detector.update(value)
                if detector.drift_detected:
                    pass
    state["seen"] += 1
    if state["seen"] >= TOTAL:
        os.write(1, f"{state['seen'] / (time.perf_counter() - state['started']):.0f} records/s\n".encode())
        os._exit(0)
    return detectors, None


flow = Dataflow("peer")
messages = op.input("records", flow, KafkaSource([os.environ["BOOTSTRAP"]], [os.environ["TOPIC"]], batch_size=1000))
keyed = op.map("parse", messages, parse)
drifts = op.filter_map("drifts", op.stateful_map("detect", keyed, detect), lambda item: item[1])
op.output("out", drifts, TestingSink([]))

if __name__ == "__main__":
    run_main(flow)
