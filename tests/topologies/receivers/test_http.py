import asyncio

from aiohttp import web

from tests.topologies.endpoint import serve
from topologies.receivers.http import ANSWER_BYTES_MAX, HttpAnswer, HttpClient


async def answer(respond):
    application = web.Application()
    application.router.add_get("/", respond)
    async with serve(application) as address:
        found = await HttpClient(10.0, lambda: 0.0).request("GET", f"{address}/", {})
    assert isinstance(found, HttpAnswer)
    return found


async def test_an_answer_that_arrives_in_parts_is_read_to_its_end():
    async def respond(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"x" * 100_000)
            await asyncio.sleep(0.01)
        return response

    assert (await answer(respond)).body == b"x" * 500_000


async def test_an_endless_answer_is_cut_off():
    async def respond(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1_000_000)
        except ConnectionError:
            return response

    assert len((await answer(respond)).body) == ANSWER_BYTES_MAX


async def test_the_names_of_header_fields_are_in_lower_case():
    async def respond(_):
        return web.Response(headers={"X-RateLimit-Reset": "7"}, text="[1]")

    found = await answer(respond)
    assert found.headers["x-ratelimit-reset"] == "7"
    assert found.json() == [1]
