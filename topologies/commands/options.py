"""Options that the commands which talk to a running driftwire share."""

import getpass
import time

import click
from pydantic import ValidationError

from topologies.configuration import BOOTSTRAP_PATTERN

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"


def _check_bootstrap(_: click.Context, __: click.Parameter, value: str) -> str:
    if not BOOTSTRAP_PATTERN.fullmatch(value):
        raise click.BadParameter(f"must be HOST:PORT, or several with commas between, not {value!r}")
    return value


bootstrap_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    envvar="DRIFTWIRE_BOOTSTRAP",
    show_envvar=True,
    default=DEFAULT_BOOTSTRAP,
    show_default=True,
    callback=_check_bootstrap,
    help="Where Kafka is.",
)


def _check_author(_: click.Context, __: click.Parameter, value: str | None) -> str:
    if value:
        return value
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise click.BadParameter("this account has no name: say who you are") from error


author_option = click.option(
    "--author", metavar="NAME", callback=_check_author, help="Who says so.  [default: the name of your account]"
)


def now_ms() -> int:
    """The wall clock, Unix ms."""
    return int(time.time() * 1000)


def wrong_use(error: ValidationError) -> click.UsageError:
    """What does not fit the contract, as a mistake on the command line: every field, in one line."""
    details = error.errors(include_url=False, include_input=False)
    return click.UsageError("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details))
