"""``driftwire check``: validate a configuration file, show which state a restart with it would reset, and connect."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from topologies.commands.running_options import bootstrap_option
from topologies.terminal import echo, echo_json

if TYPE_CHECKING:
    from pipeline.state import PartKind, RestoreOutcome
    from topologies.configuration import Configuration
    from topologies.kafka import Cluster
    from topologies.receivers import ConnectionResult
    from topologies.step_state import PartitionState

DEFAULT_FILE_NAME = "driftwire.toml"


@click.command("check", short_help="Check a configuration file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE_NAME)
@bootstrap_option
@click.option("--connect", is_flag=True, help="Also connect to Kafka, its topics and the servers of the receivers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, bootstrap: str | None, *, connect: bool, as_json: bool) -> None:
    """Check a configuration file. FILE defaults to driftwire.toml.

    Prints "FILE: ok" with the changed settings and the receivers. If Kafka answers, also prints which state would be
    kept and which would be reset if the workers were restarted with this file. If there are problems, prints one line
    per problem and exits with status 1. Parts of the routes that have no effect, and secrets of receivers and webhooks
    that cannot be read, are also problems here, although workers accept them.

    With --connect, also prints one line per server and topic. A connection that fails is a problem. Nothing is sent to
    the receivers.
    """
    from topologies.configuration import (  # noqa: PLC0415  slow to import and not needed for --help
        Configuration,
        ConfigurationError,
        changed_keys,
        load_configuration,
        parts_without_effect,
    )
    from topologies.http_server import missing_webhook_secrets  # noqa: PLC0415
    from topologies.receivers import missing_secrets  # noqa: PLC0415

    try:
        configuration = load_configuration(file)
    except ConfigurationError as error:
        _print_problems(file, error.problems, as_json=as_json)
        raise SystemExit(1) from None
    lines = [*parts_without_effect(configuration.route), *missing_secrets(configuration.route.receivers)]
    if configuration.http is not None:
        lines += missing_webhook_secrets(configuration.http.webhooks)
    if lines:
        _print_problems(file, [f"{file}: {line}" for line in lines], as_json=as_json)
        raise SystemExit(1)
    cluster = configuration.with_bootstrap(bootstrap).kafka.cluster
    changed = changed_keys(Configuration(), configuration)
    try:
        outcomes, not_checked, connections = asyncio.run(_ask_servers(cluster, configuration, connect=connect))
    except StateRefused as error:
        _print_problems(file, [str(error)], as_json=as_json)
        raise SystemExit(1) from None
    if as_json:
        content = {
            "file": str(file),
            "problems": [],
            "changed": changed,
            "receivers": [{"name": receiver.name, "kind": receiver.kind} for receiver in configuration.route.receivers],
            "state": None if outcomes is None else [_as_json(*row) for row in _rows(outcomes)],
            "not_checked": not_checked,
        }
        if connect:
            content["connections"] = [asdict(result) for result in connections]
        echo_json(orjson.dumps(content))
    else:
        _print_summary(file, configuration, changed)
        _print_state(cluster, outcomes, not_checked)
        _print_connections(connections)
    if any(result.problem for result in connections):
        raise SystemExit(1)


def _print_summary(file: Path, configuration: "Configuration", changed: Sequence[str]) -> None:
    echo(f"{file}: ok")
    echo(f"  changed from the defaults: {', '.join(changed) or 'nothing'}")
    receivers = ", ".join(f"{receiver.name} ({receiver.kind})" for receiver in configuration.route.receivers)
    echo(f"  receivers: {receivers or 'none'}")


def _print_state(
    cluster: "Cluster", outcomes: dict[str, list["RestoreOutcome"]] | None, not_checked: str | None
) -> None:
    if outcomes is None:
        echo(f"  state: not checked; {not_checked}")
        return
    echo(f"  state at {cluster}, if the workers restart with this file:")
    for step, outcome in _rows(outcomes):
        echo(f"    {step} {outcome}")
    if not any(outcomes.values()):
        echo("    none")


def _print_connections(connections: Sequence["ConnectionResult"]) -> None:
    if connections:
        echo("  connections:")
    for result in connections:
        echo(f"    {result.target}: {result.problem or 'ok'}")


class StateRefused(Exception):
    """The state of a step cannot be used by this version."""


async def _ask_servers(
    cluster: "Cluster", configuration: "Configuration", *, connect: bool
) -> tuple[dict[str, list["RestoreOutcome"]] | None, str | None, list["ConnectionResult"]]:
    """Return the effect of a restart, or None and the reason why it is unknown, and the results of the connections."""
    from topologies.receivers import connect_to_receivers  # noqa: PLC0415

    if not connect:
        return *await _try_preview(cluster, configuration), []
    preview, topics, receivers = await asyncio.gather(
        _try_preview(cluster, configuration),
        _find_topics(cluster, configuration),
        connect_to_receivers(configuration.route.receivers),
    )
    return *preview, [*topics, *receivers]


async def _try_preview(
    cluster: "Cluster", configuration: "Configuration"
) -> tuple[dict[str, list["RestoreOutcome"]] | None, str | None]:
    from topologies.errors import DriftwireError  # noqa: PLC0415

    try:
        return await _preview_restart(cluster, configuration), None
    except DriftwireError as error:
        return None, str(error)


async def _find_topics(cluster: "Cluster", configuration: "Configuration") -> list["ConnectionResult"]:
    """Ask Kafka for the topics of the contract, without creating any."""
    from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code  # noqa: PLC0415

    from schemas.topics import TOPICS, checkpoints_topic  # noqa: PLC0415
    from topologies.errors import DriftwireError  # noqa: PLC0415
    from topologies.receivers import ConnectionResult  # noqa: PLC0415

    def problem(metadata: dict[str, Any]) -> str | None:
        error = for_code(metadata["error_code"])
        if error is UnknownTopicOrPartitionError:
            if metadata["topic"] in configuration.intake.topics:
                return "missing; create it, or correct its name in [intake.topics]"
            return "missing; driftwire up or a worker creates it when it starts"
        if error is TopicAuthorizationFailedError:
            return cluster.describe_missing_right(error(), "Describe", metadata["topic"])
        if metadata["error_code"] or any(partition["leader"] < 0 for partition in metadata["partitions"]):
            return "not available, because a partition has no leader; check that the cluster is healthy"
        return None

    target = f"Kafka at {cluster}"
    names = {topic.name for topic in TOPICS} | configuration.intake.topics.keys()
    if not configuration.intake.topics:
        names.remove(checkpoints_topic("intake"))
    try:
        found = await cluster.topic_metadata(sorted(names))
    except DriftwireError as error:
        return [ConnectionResult(target, str(error))]
    topics = [ConnectionResult(f"topic {name}", problem(metadata)) for name, metadata in sorted(found.items())]
    return [ConnectionResult(target), *topics]


async def _preview_restart(cluster: "Cluster", configuration: "Configuration") -> dict[str, list["RestoreOutcome"]]:
    """Return what a restart would do with the state of each step.

    Raises
    ------
    BrokerUnreachable, TopicMissing
        If no broker answers, or if it has no checkpoints.
    StateRefused
        If a newer version wrote the state.
    """
    from pipeline.correlate.checkpoint import PART_KINDS as CORRELATE_KINDS  # noqa: PLC0415
    from pipeline.detect.step import PART_KINDS as DETECT_KINDS  # noqa: PLC0415
    from pipeline.route import PART_KINDS as ROUTE_KINDS  # noqa: PLC0415
    from pipeline.state import NewerState  # noqa: PLC0415
    from topologies.step_state import read_step_state  # noqa: PLC0415

    kinds = {"detect": DETECT_KINDS, "correlate": CORRELATE_KINDS, "route": ROUTE_KINDS}
    settings: dict[str, Any] = {"detect": configuration.detect.model_dump(mode="json")}
    outcomes = {}
    for step, step_kinds in kinds.items():
        try:
            outcomes[step] = _preview(await read_step_state(cluster, step), step_kinds, settings.get(step))
        except NewerState as error:
            raise StateRefused(f"state of {step} at {cluster}: {error}") from error
    return outcomes


def _preview(
    states: dict[int, "PartitionState"], kinds: Sequence["PartKind"], settings: dict[str, Any] | None
) -> list["RestoreOutcome"]:
    """Return what a restart would do with the state of all partitions."""
    from pipeline.state import PartStore  # noqa: PLC0415

    merged: dict[Any, RestoreOutcome] = {}
    for state in states.values():
        store = PartStore(kinds, settings)
        store.read(state.parts.items())
        for outcome in store.preview():
            key = outcome.kind.name, outcome.misfit
            known = merged.get(key, outcome)
            merged[key] = outcome._replace(owners=known.owners | outcome.owners)
    return sorted(merged.values(), key=lambda outcome: (outcome.misfit is None, outcome.kind.name))


def _rows(outcomes: dict[str, list["RestoreOutcome"]]) -> list[tuple[str, "RestoreOutcome"]]:
    return [(step, outcome) for step, rows in outcomes.items() for outcome in rows]


def _as_json(step: str, outcome: "RestoreOutcome") -> dict[str, Any]:
    return {
        "step": step,
        "kind": outcome.kind.name,
        "action": "keep" if outcome.misfit is None else "reset",
        "owner": outcome.kind.owner,
        "owners": len(outcome.owners),
        "settings": [] if outcome.misfit is None else list(outcome.misfit.settings),
        "reason": None if outcome.misfit is None else outcome.misfit.reason,
    }


def _print_problems(file: Path, problems: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        echo_json(orjson.dumps({"file": str(file), "problems": list(problems)}))
        return
    for problem in problems:
        echo(problem)
