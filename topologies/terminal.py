"""Terminal output of the commands. Names in records, deployments and commands cannot control the terminal."""

import re

import click

from pipeline.plain_text import INVISIBLE, plain_text


def echo(text: object, *, err: bool = False) -> None:
    """Print a line, to standard error if ``err`` is true."""
    click.echo(plain_text(str(text)), err=err)


def echo_json(value: bytes) -> None:
    """Print one line of JSON. Control characters are written as escapes, so the content stays the same."""
    click.echo(re.sub(INVISIBLE, lambda match: f"\\u{ord(match[0]):04x}", value.decode()))
