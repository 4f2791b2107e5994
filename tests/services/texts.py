"""The texts of the services, and the answers of the server that speaks the OpenAI protocol."""

from typing import Any

from tests.openai_server import Answer

MARK = "MARKED"
"""Word in every text of a person, a model, a tool or a document. None of these texts may leave intake."""

ANSWER, REFUSE, FAIL, CALL_TOOL = (f"{MARK} {word}" for word in ("answer", "refuse", "fail", "call a tool"))
"""Questions by which the server chooses its answer."""

SYSTEM = f"{MARK} You are a support bot."
DOCUMENTS = [f"{MARK} Opening hours", f"{MARK} Prices"]

MODEL = "gpt-4o-mini"
REPORTED_MODEL = "gpt-4o-mini-2024-07-18"
PROMPT = "support-answer"


def choose_answer(body: dict[str, Any]) -> Answer:
    """Choose the answer of the server."""
    match body.get("messages", [{}])[-1].get("content"):
        case text if text == REFUSE:
            answer = Answer(text=None, refusal=f"{MARK} No.", finish_reason="content_filter", model=REPORTED_MODEL)
        case text if text == FAIL:
            answer = Answer(text=f"{MARK} Too many requests", status=429)
        case text if text == CALL_TOOL:
            answer = Answer(text=None, tool_calls=2, model=REPORTED_MODEL)
        case text if text == ANSWER:
            delay_s = 0.05 if body.get("stream") else 0.0
            answer = Answer(text=f"{MARK} The answer.", model=REPORTED_MODEL, first_token_s=delay_s)
        case _:
            answer = Answer()
    return answer
