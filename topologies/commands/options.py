"""Options, ids and errors that several commands share."""

import getpass
import time
from collections.abc import Collection

import click
from pydantic import ValidationError


def _check_author(_: click.Context, __: click.Parameter, value: str | None) -> str:
    if value:
        return value
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise click.BadParameter("the current account has no name: give a name with --author") from error


author_option = click.option(
    "--author",
    metavar="NAME",
    callback=_check_author,
    help="Name to record as the author. Kafka does not check it.  [default: your account name]",
)


READY_RECORDS_MIN = 100
"""Minimum records of a signal from which a baseline can be learned."""

ready_records_option = click.option(
    "--ready-records",
    type=click.IntRange(READY_RECORDS_MIN),
    help="Records required to learn a signal.  [default: detect.ready_records]",
)


def now_ms() -> int:
    """Return the wall-clock time in Unix milliseconds."""
    return int(time.time() * 1000)


def find_id(known: Collection[str], text: str, *, noun: str, list_command: str) -> str:
    """Return the known id that equals ``text``, or the only known id that starts with it.

    Parameters
    ----------
    known
        The known ids.
    text
        The id or prefix that the user gave.
    noun, list_command
        The noun for an item with such an id, and the command that lists the ids, for the error message.

    Raises
    ------
    click.UsageError
        If no id or more than one id matches.
    """
    if text in known:
        return text
    matches = sorted(name for name in known if name.startswith(text)) if text else []
    if not matches:
        raise click.UsageError(f"there is no {noun} {text!r}: list the ids with {list_command}")
    if len(matches) > 1:
        raise click.UsageError(f"{text!r} matches {len(matches)} {noun}s: give a longer id: {', '.join(matches[:5])}")
    return matches[0]


def usage_error(error: ValidationError) -> click.UsageError:
    """Return a usage error that lists every invalid field of a message in one line."""
    details = error.errors(include_url=False, include_input=False)
    return click.UsageError("; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details))
