"""A service that calls models through litellm, with the callback of the client: ``CALLBACK SERVER_URL PAYLOADS_FILE``.

It runs in the environment of instrumented services. The callback is named as in the configuration of the proxy, and has
its settings from environment variables. It prints the hosts that it looked up or connected to, and the
counts of the client. It writes the payloads that litellm gave to callbacks into the file, one per line.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # the prices in the package, instead of those on GitHub

hosts: set[str] = set()


def note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        hosts.add(str(arguments[1][0]))
    elif event == "socket.getaddrinfo":
        hosts.add(str(arguments[0]))


sys.addaudithook(note_connection)

import litellm  # noqa: E402
from litellm.integrations.custom_guardrail import CustomGuardrail  # noqa: E402
from litellm.integrations.custom_logger import CustomLogger  # noqa: E402
from litellm.proxy.types_utils.utils import get_instance_fn  # noqa: E402
from openai import OpenAIError  # noqa: E402

QUESTION = [{"role": "user", "content": "marked question"}]
callback, url, payloads = sys.argv[1:]


class PayloadWriter(CustomLogger):  # type: ignore[misc]  # litellm is not installed where types are checked
    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        with Path(payloads).open("a") as file:
            file.write(json.dumps(kwargs["standard_logging_object"], default=str) + "\n")

    log_failure_event = log_success_event

    async def async_log_success_event(self, **call: Any) -> None:
        self.log_success_event(**call)

    async_log_failure_event = async_log_success_event


def options(feature: str, **metadata: Any) -> dict[str, Any]:
    return {"messages": QUESTION, "metadata": {"feature": feature, "note": "marked note", **metadata}}


def deployment(group: str, model: str) -> dict[str, Any]:
    parameters = {"model": f"openai/{model}", "api_base": url, "api_key": "marked key", "max_retries": 0}
    return {"model_name": group, "litellm_params": parameters}


def guarded(feature: str, *states: str) -> dict[str, Any]:
    """Options of a request whose guardrails ended in these states, as the guardrails of litellm note them."""
    call = options(feature)
    for state in states:
        CustomGuardrail(guardrail_name="filter").add_standard_logging_guardrail_information_to_request_data(
            guardrail_json_response="marked response", request_data=call, guardrail_status=state
        )
    return call


async def use_coroutines(router: Any) -> None:
    await router.acompletion("chat", **options("answer", prompt_version="v41"))
    async for _ in await router.acompletion("chat", stream=True, **options("stream")):
        pass
    for group in ("tools", "filtered", "refusing", "silent", "flaky", "broken"):
        await router.acompletion(group, **options(group))
    for group in ("limited", "invalid"):
        with suppress(OpenAIError):
            await router.acompletion(group, **options(group))
    await router.aembedding("embed", input=["marked question"], metadata={"feature": "embed"})
    await router.acompletion("chat", **guarded("guard-passed", "success"))
    await router.acompletion("chat", **guarded("guard-blocked", "success", "guardrail_intervened"))
    await router.acompletion("chat", **guarded("guard-down", "guardrail_failed_to_respond"))
    await router.acompletion("chat", **guarded("guard-idle", "success", "not_run"))
    await asyncio.sleep(1)  # litellm reports from a queue of the event loop


def use_threads(router: Any) -> None:
    router.completion("chat", **options("sync", prompt_version=41))
    for _ in router.completion("chat", stream=True, **options("sync-stream")):
        pass
    with suppress(OpenAIError):
        router.completion("limited", **options("sync-limited"))
    litellm.completion("openai/gpt-4o-mini", messages=QUESTION, api_base=url, api_key="marked key")
    litellm.turn_off_message_logging = True
    router.completion("chat", **options("redacted"))
    time.sleep(1)  # litellm reports from threads


def main() -> None:
    litellm.suppress_debug_info = True
    instance = get_instance_fn(callback)
    litellm.callbacks = [PayloadWriter(), instance]
    models = {"chat": "gpt-4o-mini", "spare": "gpt-4o", "embed": "text-embedding-3-small"}
    unknown = ("tools", "filtered", "refusing", "silent", "flaky", "broken", "limited", "invalid")
    router = litellm.Router(
        [deployment(group, model) for group, model in {**models, **dict(zip(unknown, unknown, strict=True))}.items()],
        fallbacks=[{"broken": ["spare"]}],
        num_retries=1,
        retry_after=0,
    )
    asyncio.run(use_coroutines(router))
    use_threads(router)
    for _ in range(2):
        instance.log_success_event(kwargs={}, response_obj=None, start_time=None, end_time=None)
    instance._client.close()
    counts = instance._client.counts()
    print(json.dumps({"hosts": sorted(hosts), "called": counts.called, "sent": counts.sent}))


main()
