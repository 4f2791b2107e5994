"""``driftwire deployed``: tell that something was deployed, from a CI/CD pipeline.

The first question of an incident is what changed.
"""

import asyncio
from pathlib import Path
from typing import get_args
from uuid import uuid4

import click
from pydantic import ValidationError

from schemas.deployment import Deployment, DeploymentKind
from schemas.timestamp import format_timestamp
from schemas.topics import DEPLOYMENTS
from topologies.commands.options import author_option, bootstrap_option, now_ms, wrong_use
from topologies.commands.values import PointInTime
from topologies.kafka import write


@click.command("deployed", short_help="Tell that something was deployed.")
@click.option("--subject", metavar="NAME", help="What it touches: one AI feature, as its records name it.")
@click.option("--environment", metavar="NAME", help="Or: everything in this environment.")
@click.option("--provider", metavar="NAME", help="Or: everything that this provider serves.")
@click.option("--kind", required=True, type=click.Choice(get_args(DeploymentKind)), help="What was changed.")
@click.option("--name", metavar="NAME", help="Which one, where a kind has many: the flag's or the package's name.")
@click.option("--from", "from_version", metavar="VERSION", help="What served before.")
@click.option("--to", "to_version", metavar="VERSION", help="What serves now.")
@click.option(
    "--id", "deployment_id", metavar="ID", help="Your own id: written twice, it counts once.  [default: a new one]"
)
@click.option("--at", type=PointInTime(), help="When it began to serve: RFC 3339, or Unix ms.  [default: now]")
@click.option("--rollback-of", metavar="ID", help="The deployment that this one takes back.")
@click.option("--expect-shift", multiple=True, metavar="SIGNAL", help="A signal that it moves on purpose; repeatable.")
@click.option("--summary", metavar="TEXT", help="In a line, what and why.")
@click.option(
    "--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Put what was written there too."
)
@author_option
@bootstrap_option
def command(
    *,
    kind: DeploymentKind,
    deployment_id: str | None,
    at: int | None,
    expect_shift: tuple[str, ...],
    report: Path | None,
    bootstrap: str,
    **named: str | None,
) -> None:
    """Write a deployment: name what it touches by --subject, --environment or --provider."""
    if not any(named[scope] for scope in ("subject", "environment", "provider")):
        raise click.UsageError("a deployment touches something: give --subject, --environment or --provider")
    try:
        deployment = Deployment.model_validate(
            {
                "deployment_id": f"deploy-{uuid4().hex}" if deployment_id is None else deployment_id,
                "timestamp": now_ms() if at is None else at,
                "kind": kind,
                "expect_shift": list(expect_shift),
                **named,
            }
        )
    except ValidationError as error:
        raise wrong_use(error) from error
    asyncio.run(write(bootstrap, DEPLOYMENTS, deployment.deployment_id.encode(), deployment.to_json()))
    if report is not None:
        report.write_bytes(deployment.to_json() + b"\n")
    click.echo(_line(deployment))


def _line(deployment: Deployment) -> str:
    name = f" {deployment.name}" if deployment.name else ""
    change = [version for version in (deployment.from_version, deployment.to_version) if version]
    versions = f" {' -> '.join(change)}" if change else ""
    scopes = ", ".join(one for one in (deployment.subject, deployment.environment, deployment.provider) if one)
    at = format_timestamp(deployment.timestamp)
    return f"deployed {deployment.kind}{name}{versions} for {scopes} at {at} ({deployment.deployment_id})"
