"""Spans as vLLM documents them. vLLM itself needs the weights of a model, so nothing of vLLM runs here.

The names, the units (seconds) and the kind are those of ``vllm/tracing`` and ``vllm/v1/engine/output_processor.py``.
"""

import time
from typing import Any

from opentelemetry.trace import SpanKind

from tests.services.chat import Options, start_telemetry

NS_PER_S = 1_000_000_000

REQUESTS = [
    {"queue_s": 0.002, "first_token_s": 0.061, "decode_s": 0.412, "prompt_tokens": 40, "completion_tokens": 11},
    {"queue_s": 1.204, "first_token_s": 1.377, "decode_s": 2.518, "prompt_tokens": 812, "completion_tokens": 230},
]


def attributes(number: int, request: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of one request."""
    prefill_s = request["first_token_s"] - request["queue_s"]
    return {
        "gen_ai.latency.time_to_first_token": request["first_token_s"],
        "gen_ai.latency.e2e": request["first_token_s"] + request["decode_s"],
        "gen_ai.latency.time_in_queue": request["queue_s"],
        "gen_ai.usage.prompt_tokens": request["prompt_tokens"],
        "gen_ai.usage.completion_tokens": request["completion_tokens"],
        "gen_ai.latency.time_in_model_prefill": prefill_s,
        "gen_ai.latency.time_in_model_decode": request["decode_s"],
        "gen_ai.latency.time_in_model_inference": prefill_s + request["decode_s"],
        "gen_ai.request.id": f"chatcmpl-vllm-{number}",
        "gen_ai.request.top_p": 0.95,
        "gen_ai.request.max_tokens": 256,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.n": 1,
    }


def main() -> None:
    options = Options.parse("vllm")
    tracers, loggers = start_telemetry(options)
    tracer = tracers.get_tracer("vllm.llm_engine")
    for number, request in enumerate(REQUESTS):
        ended = time.time_ns()
        started = ended - round((request["first_token_s"] + request["decode_s"]) * NS_PER_S)
        span = tracer.start_span(
            "llm_request", kind=SpanKind.SERVER, start_time=started, attributes=attributes(number, request)
        )
        span.end(ended)
    tracers.shutdown()
    loggers.shutdown()


if __name__ == "__main__":
    main()
