import asyncio
import io
import logging
import socket
import subprocess
import sys
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.route.delivery import Delivery, Dispatch
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import AppriseSettings
from tests.pipeline.route.samples import STARTED, alert, evidence, incident
from tests.topologies.endpoint import run_endpoint
from tests.topologies.messages import digests
from tests.topologies.receivers.smtp_server import run_smtp
from topologies.receivers.apprise import AppriseReceiver

NOW_S = 1_795_489_961.0
OPENED = Dispatch(
    incident(runbook="https://runbooks.example.org/refusal_spike.md"),
    "mail",
    "all",
    Reason("first_notification", "new to the receiver: P3 open"),
    alert(incident()),
    STARTED,
)
SECRET = "hunter2"


@pytest_asyncio.fixture
async def smtp():
    async with run_smtp() as server:
        yield server


@pytest_asyncio.fixture
async def endpoint():
    async with run_endpoint() as running:
        yield running


@pytest.fixture
def root_log():
    """What reaches the handlers of the worker, down to debug lines."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def receiver(timeout_s=10.0, **settings):
    return AppriseReceiver(AppriseSettings(**settings), timeout_s=timeout_s, clock=lambda: NOW_S)


def mail_url(server):
    return f"mailto://127.0.0.1:{server.port}?from=driftwire@example.org&to=on-call@example.org"


@pytest.mark.slow
async def test_a_mail_arrives_with_its_subject_and_is_readable_as_html_and_as_text(smtp):
    delivery = await receiver(url=mail_url(smtp)).deliver(OPENED)
    assert delivery == Delivery("sent", OPENED.reason.text, 1, sent_at=int(NOW_S * 1000))
    (mail,) = smtp.mails
    assert smtp.envelopes == [("driftwire@example.org", ["on-call@example.org"])]
    assert mail["Subject"] == "P3 open: support-bot refuses 9.1 % of requests"
    assert mail["From"] == "driftwire@example.org"
    assert mail["To"] == "on-call@example.org"
    assert mail["Message-ID"]
    assert mail.get_content_type() == "multipart/alternative"
    html = mail.get_body(("html",)).get_content()
    assert "<pre>driftwire incident ack inc-3f9a21c0b7</pre>" in html
    assert '<a href="https://runbooks.example.org/refusal_spike.md">' in html
    lines = mail.get_body(("plain",)).get_content().splitlines()
    assert "What: refused 1.0 % -> 9.1 % (at detection)" in lines
    assert "Since: 2026-11-24 03:12:00Z, detected 41 s later" in lines
    assert "Runbook: https://runbooks.example.org/refusal_spike.md" in lines


async def test_a_later_mail_begins_with_its_reason(smtp):
    later = replace(OPENED, reason=Reason("severity_changed", "severity P3 -> P2"))
    assert (await receiver(url=mail_url(smtp)).deliver(later)).outcome == "sent"
    assert smtp.mails[0].get_body(("html",)).get_content().startswith("<p><b>severity P3 -&gt; P2</b></p>")


async def test_names_from_records_cannot_add_a_header_or_markup(smtp):
    name = "x\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script> https://evil.example"
    revision = incident(title=name, evidence=[evidence("silence", channel="silence", sentence=name)])
    assert (await receiver(url=mail_url(smtp)).deliver(replace(OPENED, incident=revision))).outcome == "sent"
    (mail,) = smtp.mails
    assert mail["Bcc"] is None
    assert smtp.envelopes[0][1] == ["on-call@example.org"]
    html = mail.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "https://evil" not in html + mail["Subject"]


@pytest.mark.parametrize("answer", ["451 try later", "550 no such mailbox"])
async def test_a_mail_that_the_server_does_not_accept_can_be_tried_again(smtp, answer):
    smtp.answers = {"RCPT": answer}
    delivery = await receiver(url=mail_url(smtp)).deliver(OPENED)
    assert delivery == Delivery("retry", "E-Mail cannot be reached, or did not accept the message", 1)
    smtp.answers = {}
    assert (await receiver(url=mail_url(smtp)).deliver(OPENED)).outcome == "sent"


async def test_a_closed_port_can_be_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mailto://127.0.0.1:{taken.getsockname()[1]}?from=a@example.org&to=b@example.org"
        assert (await receiver(url=url).deliver(OPENED)).outcome == "retry"


async def test_a_server_that_does_not_answer_in_time_holds_nobody_up(smtp):
    smtp.is_silent = True
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    delivery = await receiver(timeout_s=0.5, url=mail_url(smtp)).deliver(OPENED)
    ticking.cancel()
    smtp.released.set()
    assert delivery == Delivery("retry", "E-Mail did not answer within 0.5 s", 1)
    assert ticks > 10


async def test_the_address_is_read_from_its_file_for_each_attempt_and_never_shown(smtp, tmp_path, root_log, capsys):
    path = tmp_path / "url"
    mail = receiver(url_file=str(path))
    missing = await mail.deliver(OPENED)
    assert missing == Delivery("retry", f"cannot use the url_file {path}: No such file or directory", 1)
    path.write_text(f"nonsense://{SECRET}")
    unknown = await mail.deliver(OPENED)
    assert (unknown.outcome, unknown.reason.partition(":")[0]) == ("retry", "cannot use the address")
    path.write_text(f"{mail_url(smtp)}\n{mail_url(smtp)}\n")
    assert await mail.deliver(OPENED) == unknown
    path.write_text(f"{mail_url(smtp)}&name={SECRET}\n")
    assert (await mail.deliver(OPENED)).outcome == "sent"
    smtp.answers = {"MAIL": f"550 {SECRET}"}
    refused = await mail.deliver(OPENED)
    printed = capsys.readouterr()
    assert (
        SECRET not in missing.reason + unknown.reason + refused.reason + root_log.getvalue() + printed.out + printed.err
    )


async def test_another_service_gets_the_message_in_its_format(endpoint):
    url = endpoint.url.replace("http:", "json:")
    assert (await receiver(url=url).deliver(OPENED)).outcome == "sent"
    ((_, content),) = endpoint.requests
    assert content["title"] == "P3 open: support-bot refuses 9.1 % of requests"
    assert content["message"].startswith("What: refused 1.0 % -> 9.1 % (at detection)\n")
    assert content["type"] == "warning"
    assert (await receiver(url=f"{url}?format=markdown").deliver(OPENED)).outcome == "sent"
    assert endpoint.requests[1][1]["message"].startswith("- **What:** refused")


@pytest.mark.parametrize(
    ("changes", "kind"), [({"severity": "P1"}, "failure"), ({"status": "resolved"}, "success"), ({}, "warning")]
)
async def test_the_type_of_the_notification_follows_the_incident(endpoint, changes, kind):
    url = endpoint.url.replace("http:", "json:")
    await receiver(url=url).deliver(replace(OPENED, incident=incident(**changes)))
    assert endpoint.requests[0][1]["type"] == kind


@pytest.mark.parametrize(
    ("status", "outcome", "problem"),
    [
        (401, "failed", "JSON answered 401, which a retry would not change"),
        (404, "failed", "JSON answered 404, which a retry would not change"),
        (429, "retry", "JSON answered 429"),
        (500, "retry", "JSON answered 500"),
    ],
)
async def test_the_status_of_a_refusal_decides_on_a_retry(endpoint, root_log, status, outcome, problem):
    endpoint.answers = [status]
    url = f"{endpoint.url.replace('http:', 'json:')}?-token={SECRET}&:key={SECRET}"
    assert await receiver(url=url).deliver(OPENED) == Delivery(outcome, problem, 1)
    assert SECRET not in root_log.getvalue()


async def test_a_redirect_is_not_followed(endpoint):
    async def redirect(_):
        return web.Response(status=302, headers={"Location": endpoint.url})

    endpoint.answers = [redirect]
    delivery = await receiver(url=endpoint.url.replace("http:", "json:")).deliver(OPENED)
    assert delivery.outcome == "failed"
    assert len(endpoint.requests) == 1


@pytest.mark.slow
def test_the_worker_starts_without_apprise():
    code = "import sys, topologies.route, topologies.receivers; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("addresses", [{}, {"url": "json://a", "url_file": "url"}])
def test_a_service_needs_one_address(addresses):
    with pytest.raises(ValueError, match="set either url or url_file"):
        AppriseSettings(**addresses)


def test_the_address_is_a_secret():
    settings = AppriseSettings(url=f"json://{SECRET}")
    assert SECRET not in repr(settings) + orjson.dumps(settings.model_dump(mode="json")).decode()


async def test_a_digest_arrives_as_a_mail_without_markup_from_names(smtp):
    name = "<script>alert(1)</script> https://evil.example"
    delivery = await receiver(url=mail_url(smtp)).deliver_notice(digests.dispatch(digests.hostile(name)))
    assert delivery == Delivery("sent", "the digest of 2026-11-25 is due", 1, sent_at=int(NOW_S * 1000))
    (mail,) = smtp.mails
    assert mail["Subject"] == "Digest morning: 1 P4, 0 P3 open for longer than a day, 1 suppressed"
    html = mail.get_body(("html",)).get_content()
    assert "<b>Suppressed:</b> &lt;script&gt;" in html
    assert "<script" not in html
    assert "https://evil" not in html
