"""Deployments in the body of a request: all of them are checked before any is written."""

from typing import Any

from pydantic import ValidationError

from pipeline.decoding import describe_time_ahead
from pipeline.deployment_check import find_problems
from pipeline.step import OutputMessage
from pipeline.wording import one_line
from schemas.deployment import Deployment
from schemas.topics import DEPLOYMENTS
from topologies.http_server.decoded_request import DecodedRequest, RequestContent
from topologies.http_server.items import Item, bad_items, read_items
from topologies.listener import json_response


def read_deployments(request: RequestContent) -> DecodedRequest:
    """Return the messages of all deployments of a body. A list of subjects becomes one message per subject.

    Raises
    ------
    HttpProblem
        If any deployment cannot be used or makes no sense.
    """
    deployments: list[Deployment] = []
    problems: list[dict[str, Any]] = []
    for item in read_items(request):
        try:
            sent = Deployment.read(item.fields)
        except ValidationError as error:
            problems.append(_problem(item, _first_field(error), f"not a valid deployment: {one_line(error)}"))
            continue
        # The deployments of several subjects differ in nothing else.
        problems += [_problem(item, _named_field(found), found) for found in _find_problems(sent[0], request.now_ms)]
        deployments += sent
    if problems:
        raise bad_items(problems)
    outputs = [OutputMessage(DEPLOYMENTS, one.deployment_id.encode(), one.to_json()) for one in deployments]
    return DecodedRequest(outputs, json_response({"deployments": len(outputs)}))


def _find_problems(deployment: Deployment, now_ms: int) -> list[str]:
    ahead = describe_time_ahead("timestamp", deployment.timestamp, now_ms)
    return [*find_problems(deployment), *([ahead] if ahead else [])]


def _problem(item: Item, field: str, message: str) -> dict[str, Any]:
    return item.position | {"field": field, "reason": "contract", "message": message}


def _named_field(problem: str) -> str:
    """Return the field with which a problem begins, or nothing."""
    name = problem.partition(":")[0]
    return name if name in Deployment.model_fields else ""


def _first_field(error: ValidationError) -> str:
    location = error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"]
    return ".".join(map(str, location))
