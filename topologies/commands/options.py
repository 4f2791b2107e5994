"""Options and errors of the commands that write messages."""

import getpass
import time

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


def now_ms() -> int:
    """Return the wall-clock time in Unix milliseconds."""
    return int(time.time() * 1000)


def usage_error(error: ValidationError) -> click.UsageError:
    """Return a usage error that lists every invalid field of a message in one line."""
    details = error.errors(include_url=False, include_input=False)
    return click.UsageError("; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details))
