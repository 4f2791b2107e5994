"""A server that behaves as GitHub's documentation of the REST API says, for the issues of one repository."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from tests.topologies.endpoint import serve

TOKEN = "github_pat_secret"
REPOSITORY = "acme/incidents"

Plan = Callable[[web.Request], Awaitable[web.StreamResponse]] | int | None
"""What the next request gets: an answer of its own, a status, or what GitHub would answer."""


class GitHubServer:
    """The issues of a repository, and what was asked of the server."""

    def __init__(self) -> None:
        self.address = ""
        self.issues: list[dict[str, Any]] = []
        self.comments: list[tuple[int, str]] = []
        self.calls: list[str] = []
        self.plans: list[Plan] = []

    async def respond(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(f"/repos/{REPOSITORY}/issues")
        self.calls.append(f"{request.method} {path}")
        planned = self.plans.pop(0) if self.plans else None
        if callable(planned):
            return await planned(request)
        if planned is not None:
            return web.json_response({"message": f"planned {planned}"}, status=planned)
        assert request.headers["Accept"] == "application/vnd.github+json"
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert request.headers["User-Agent"] == "driftwire"
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"message": "Bad credentials"}, status=401)
        if path == request.path:
            return web.json_response({"message": "Not Found"}, status=404)
        if request.method == "GET":
            return self._list(request)
        assert request.headers["Content-Type"] == "application/json"
        content = orjson.loads(await request.read())
        if request.method == "POST" and path == "":
            return self._create(content)
        number = int(path.split("/")[1])
        if not 1 <= number <= len(self.issues):
            return web.json_response({"message": "Not Found"}, status=404)
        if request.method == "PATCH":
            return self._edit(number, content)
        assert path == f"/{number}/comments"
        assert content.keys() == {"body"}
        assert 1 <= len(content["body"]) <= 65_536
        self.comments.append((number, content["body"]))
        return web.json_response({"id": len(self.comments)}, status=201)

    def _list(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        assert query["state"] == "all"
        assert (query["sort"], query["direction"]) == ("created", "desc")
        assert 1 <= int(query["per_page"]) <= 100
        labelled = [issue for issue in self.issues if query["labels"] in issue["labels"]]
        return web.json_response(labelled[::-1][: int(query["per_page"])])

    def _create(self, content: dict[str, Any]) -> web.Response:
        assert content.keys() == {"title", "body", "labels"}
        assert 1 <= len(content["title"]) <= 256
        assert len(content["body"]) <= 65_536
        issue = {"number": len(self.issues) + 1, "state": "open", "state_reason": None, **content}
        self.issues.append(issue)
        return web.json_response(issue, status=201)

    def _edit(self, number: int, content: dict[str, Any]) -> web.Response:
        assert content.keys() <= {"title", "state", "state_reason"}
        assert content["state"] in ("open", "closed")
        issue = self.issues[number - 1]
        if content["state"] != issue["state"]:
            issue["state_reason"] = content.get(
                "state_reason", "reopened" if content["state"] == "open" else "completed"
            )
        issue |= {"title": content["title"], "state": content["state"]}
        return web.json_response(issue)


@asynccontextmanager
async def run_github() -> AsyncIterator[GitHubServer]:
    """Run the server on a free port."""
    server = GitHubServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.respond)
    async with serve(application) as address:
        server.address = address
        yield server
