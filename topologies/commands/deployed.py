"""``driftwire deployed``: record a deployment, usually from a CI/CD pipeline.

During an incident, deployments show what changed.
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
from topologies.commands.options import author_option, now_ms, usage_error
from topologies.commands.parameter_types import PastTime
from topologies.commands.running_options import cluster_options
from topologies.kafka import Cluster, write_message
from topologies.terminal import echo


@click.command("deployed", short_help="Record a deployment.")
@click.option(
    "--subject", metavar="NAME", help="Subject that the deployment affects: one AI feature, named as in its records."
)
@click.option(
    "--environment", metavar="NAME", help="Environment that the deployment affects, including all its subjects."
)
@click.option(
    "--provider", metavar="NAME", help="Provider that the deployment affects, including all subjects that it serves."
)
@click.option("--kind", required=True, type=click.Choice(get_args(DeploymentKind)), help="Kind of change.")
@click.option("--name", metavar="NAME", help="Name of the changed component, such as a flag or a package.")
@click.option("--from", "from_version", metavar="VERSION", help="Version that served before the deployment.")
@click.option("--to", "to_version", metavar="VERSION", help="Version that serves after the deployment.")
@click.option(
    "--id",
    "deployment_id",
    metavar="ID",
    help="Id of the deployment. Repeats of the same id count once.  [default: a new id]",
)
@click.option(
    "--at", type=PastTime(), help="Time at which the deployment took effect: RFC 3339 or Unix ms.  [default: now]"
)
@click.option("--rollback-of", metavar="ID", help="Id of the deployment that this deployment reverts.")
@click.option(
    "--expect-shift", multiple=True, metavar="SIGNAL", help="Signal that the deployment changes on purpose. Repeatable."
)
@click.option("--summary", metavar="TEXT", help="One-line description of the change and its reason.")
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the deployment to this file as JSON.",
)
@author_option
@cluster_options
def command(
    *,
    kind: DeploymentKind,
    deployment_id: str | None,
    at: int | None,
    expect_shift: tuple[str, ...],
    report: Path | None,
    cluster: Cluster,
    **fields: str | None,
) -> None:
    """Record a deployment.

    Specify its scope with --subject, --environment or --provider. At least one of these options is required. Prints a
    warning if detect has read no records of the subject.
    """
    from pipeline.deployment_check import find_problems  # noqa: PLC0415  slow to import and not needed for --help

    if not any(fields[scope] for scope in ("subject", "environment", "provider")):
        raise click.UsageError("the scope of the deployment is missing: add --subject, --environment or --provider")
    try:
        deployment = Deployment.model_validate(
            {
                "deployment_id": f"deploy-{uuid4().hex}" if deployment_id is None else deployment_id,
                "timestamp": now_ms() if at is None else at,
                "kind": kind,
                "expect_shift": list(expect_shift),
                **fields,
            }
        )
    except ValidationError as error:
        raise usage_error(error) from error
    if problems := find_problems(deployment):
        raise click.UsageError("; ".join(problems))
    asyncio.run(write_message(cluster, DEPLOYMENTS, deployment.deployment_id.encode(), deployment.to_json()))
    if report is not None:
        report.write_bytes(deployment.to_json() + b"\n")
    echo(_summary_line(deployment))
    if deployment.subject is not None:
        from topologies.status import find_unseen_subjects  # noqa: PLC0415  slow to import and not needed for --help

        for warning in asyncio.run(find_unseen_subjects(cluster, [deployment.subject])):
            echo(f"WARNING: {warning}", err=True)


def _summary_line(deployment: Deployment) -> str:
    name = f" {deployment.name}" if deployment.name else ""
    change = [version for version in (deployment.from_version, deployment.to_version) if version]
    versions = f" {' -> '.join(change)}" if change else ""
    scopes = ", ".join(scope for scope in (deployment.subject, deployment.environment, deployment.provider) if scope)
    at = format_timestamp(deployment.timestamp)
    return f"deployed {deployment.kind}{name}{versions} for {scopes} at {at} ({deployment.deployment_id})"
