"""A mail server on loopback that stores what it accepts. Source: RFC 5321."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class SmtpServer:
    """The mails that arrived, and the answers that are planned for the next commands."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    is_silent: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_silent:
            await self.released.wait()
            writer.close()
            return
        sender, recipients = "", []
        writer.write(b"220 mail.example.org ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(":")[0].split(" ")[0].upper()
            if verb in self.answers:
                writer.write(self.answers[verb].encode() + b"\r\n")
                continue
            if verb == "EHLO":
                writer.write(b"250-mail.example.org\r\n250 8BITMIME\r\n")
            elif verb == "MAIL":
                sender, recipients = line.partition("<")[2].partition(">")[0], []
                writer.write(b"250 OK\r\n")
            elif verb == "RCPT":
                recipients.append(line.partition("<")[2].partition(">")[0])
                writer.write(b"250 OK\r\n")
            elif verb == "DATA":
                writer.write(b"354 go ahead\r\n")
                data = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                self.mails.append(message_from_bytes(data, policy=policy.default))
                self.envelopes.append((sender, recipients))
                writer.write(b"250 accepted\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 OK\r\n")
        writer.close()


@asynccontextmanager
async def run_smtp() -> AsyncIterator[SmtpServer]:
    """Run the server on a free port."""
    smtp = SmtpServer()
    server = await asyncio.start_server(smtp.serve, "127.0.0.1", 0)
    smtp.port = server.sockets[0].getsockname()[1]
    async with server:
        yield smtp
        smtp.released.set()
