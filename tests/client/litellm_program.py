"""A service that calls models through litellm, with the callback of the client: ``BOOTSTRAP SERVER_URL``.

It runs in the environment of instrumented services. It prints the addresses to which it connected, and what was sent.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # as it is installed, without a look at GitHub

hosts: set[str] = set()


def note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        hosts.add(str(arguments[1][0]))
    elif event == "socket.getaddrinfo":
        hosts.add(str(arguments[0]))


sys.addaudithook(note_connection)

import litellm  # noqa: E402
from litellm.caching.caching import Cache  # noqa: E402
from litellm.integrations.custom_guardrail import CustomGuardrail  # noqa: E402
from openai import OpenAIError  # noqa: E402

from driftwire_client import Client  # noqa: E402
from driftwire_client.litellm_callback import DriftwireLogger  # noqa: E402

QUESTION = [{"role": "user", "content": "marked question"}]
bootstrap, url = sys.argv[1:]

litellm.suppress_debug_info = True
client = Client(bootstrap, subject="litellm-none", environment="test")
litellm.callbacks = [DriftwireLogger(client, subject="litellm-{metadata.feature}")]


def options(feature: str, **metadata: Any) -> dict[str, Any]:
    return {"messages": QUESTION, "metadata": {"feature": feature, "note": "marked note", **metadata}}


def deployment(group: str, model: str) -> dict[str, Any]:
    parameters = {"model": f"openai/{model}", "api_base": url, "api_key": "marked key", "max_retries": 0}
    return {"model_name": group, "litellm_params": parameters}


def guarded(feature: str, *states: str) -> dict[str, Any]:
    """Options of a request whose guardrails ended in these states, as litellm's guardrails note them."""
    call = options(feature)
    for state in states:
        CustomGuardrail(guardrail_name="filter").add_standard_logging_guardrail_information_to_request_data(
            guardrail_json_response="marked response", request_data=call, guardrail_status=state
        )
    return call


async def use_coroutines(router: litellm.Router) -> None:
    await router.acompletion("chat", **options("answer", prompt_version="v41"))
    async for _ in await router.acompletion("chat", stream=True, **options("stream")):
        pass
    await router.acompletion("tools", **options("tools"))
    await router.acompletion("filtered", **options("filtered"))
    await router.acompletion("refusing", **options("refusing"))
    await router.acompletion("silent", **options("silent"))
    await router.acompletion("flaky", **options("retry"))
    await router.acompletion("broken", **options("fallback"))
    for group in ("limited", "invalid"):
        with suppress(OpenAIError):
            await router.acompletion(group, **options(group))
    await router.aembedding("embed", input=["marked question"], metadata={"feature": "embedding"})
    await router.acompletion("chat", **guarded("guard-passed", "success"))
    await router.acompletion("chat", **guarded("guard-blocked", "success", "guardrail_intervened"))
    await router.acompletion("chat", **guarded("guard-down", "guardrail_failed_to_respond"))
    await router.acompletion("chat", **guarded("guard-idle", "success", "not_run"))
    await asyncio.sleep(1)  # litellm reports from a queue of the event loop


def use_threads(router: litellm.Router) -> None:
    router.completion("chat", **options("sync", prompt_version=41))
    for _ in router.completion("chat", stream=True, **options("sync-stream")):
        pass
    with suppress(OpenAIError):
        router.completion("limited", **options("sync-limited"))
    litellm.completion("openai/gpt-4o-mini", messages=QUESTION, api_base=url, api_key="marked key")
    time.sleep(1)  # litellm reports from threads
    litellm.cache = Cache()
    for _ in range(2):
        router.completion("chat", **options("cached"))
        time.sleep(1)


def main() -> None:
    groups = {
        "chat": "gpt-4o-mini",
        "spare": "gpt-4o",
        "embed": "text-embedding-3-small",
        **{name: name for name in ("tools", "filtered", "refusing", "silent", "flaky", "broken", "limited", "invalid")},
    }
    router = litellm.Router(
        [deployment(group, model) for group, model in groups.items()],
        fallbacks=[{"broken": ["spare"]}],
        num_retries=1,
        retry_after=0,
    )
    asyncio.run(use_coroutines(router))
    use_threads(router)
    client.close()
    print(json.dumps({"hosts": sorted(hosts), "sent": client.counts().sent, "dropped": client.counts().dropped}))


main()
