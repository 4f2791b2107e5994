"""Headless Chromium, driven over the DevTools protocol: a page at any width, with its console and its requests."""

import asyncio
import base64
import re
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

START_S = 30
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""Path of the browser, or None. Debian: apt-get install chromium."""


@dataclass
class OpenedPage:
    """A page after it was loaded.

    ``overflow`` is the number of pixels by which the page is wider than the screen. ``requests`` are the addresses of all
    requests, and ``messages`` the errors and warnings of the console.
    """

    overflow: int
    text: str
    overflowing: list[str]
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    screenshot: bytes = b""


MEASURE = """(() => {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > width + 1);
  return {
    overflow: document.documentElement.scrollWidth - width,
    overflowing: wide.slice(0, 5).map(node => node.outerHTML.slice(0, 120)),
    text: document.body.innerText,
  };
})()"""


class Devtools:
    """A session of the protocol with one page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=START_S)
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    async def wait_for(self, event: str) -> None:
        while not any(message.get("method") == event for message in self.events):
            self.events.append(await self._socket.receive_json(timeout=START_S))


@asynccontextmanager
async def devtools():
    """Start the browser, and yield a session with an empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = ("--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}")
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, *arguments, "about:blank", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            address = await asyncio.wait_for(_find_address(browser), START_S)
            drain = asyncio.create_task(browser.stderr.read())
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{address}/json/list") as answer:
                    pages = await answer.json(content_type=None)
                target = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
                async with session.ws_connect(target, max_msg_size=0) as socket:
                    yield Devtools(socket)
            drain.cancel()
        finally:
            browser.kill()
            await browser.wait()


async def _find_address(browser: asyncio.subprocess.Process) -> str:
    while line := (await browser.stderr.readline()).decode():
        if match := re.search(r"ws://(127\.0\.0\.1:\d+)/", line):
            return f"http://{match[1]}"
    raise AssertionError("the browser ended before it listened")


async def open_page(address: str, width: int, *, dark: bool = False) -> OpenedPage:
    """Open an address at a width in pixels, and return what was seen."""
    async with devtools() as page:
        await page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.call("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        page.events.clear()
        await page.call("Page.navigate", url=address)
        await page.wait_for("Page.loadEventFired")
        measured = await page.call("Runtime.evaluate", expression=MEASURE, returnByValue=True)
        opened = OpenedPage(**measured["result"]["value"])
        size = (await page.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1}
        shot = await page.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        opened.screenshot = base64.b64decode(shot["data"])
        for event in page.events:
            content = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                opened.requests.append(content["request"]["url"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                opened.messages.append(str(content))
        return opened
