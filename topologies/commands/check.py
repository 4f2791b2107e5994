"""``driftwire check``: validate a configuration file and list its problems."""

from pathlib import Path

import click

DEFAULT_FILE_NAME = "driftwire.toml"


@click.command("check", short_help="Check a configuration file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE_NAME)
def command(file: Path) -> None:
    """Check a configuration file. FILE defaults to driftwire.toml.

        Prints "FILE: ok" with the changed settings and the receivers. If there are problems, prints one line per problem
    and exits with status 1.
    """
    from topologies.configuration import (  # noqa: PLC0415  slow to import and not needed for --help
        Configuration,
        ConfigurationError,
        changed_keys,
        load_configuration,
    )

    try:
        configuration = load_configuration(file)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem)
        raise SystemExit(1) from None
    changed = changed_keys(Configuration(), configuration)
    click.echo(f"{file}: ok")
    click.echo(f"  changed from the defaults: {', '.join(changed) or 'nothing'}")
    receivers = ", ".join(f"{receiver.name} ({receiver.kind})" for receiver in configuration.route.receivers)
    click.echo(f"  receivers: {receivers or 'none'}")
