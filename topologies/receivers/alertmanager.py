"""Alertmanager receiver that posts incidents as alerts to all members of a cluster.

The labels of an alert are its identity in Alertmanager, so they must not change while the incident is open. They are the
labels at the first notification, without severity, status and failure mode, and the receiver, which makes it possible to
route by severity. What changes is in the annotations.

Source: Alertmanager's API v2 (``postableAlerts`` in its OpenAPI specification), and Prometheus for the times: an alert
that is not re-sent for four intervals ends by itself, and a request contains at most 64 alerts.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from pipeline.plain_text import plain_text
from pipeline.route import Delivery, Dispatch, Resend
from pipeline.route.receiver_settings import AlertmanagerSettings, is_web_address
from schemas.incident import CLOSED, Incident
from schemas.timestamp import format_timestamp
from topologies.messages import find_runbook
from topologies.receivers.http import HttpAnswer, HttpClient, origin_of
from topologies.receivers.secret import SecretUnavailable, read_secret

ALERT_NAME = "DriftwireIncident"
"""Label ``alertname`` of all alerts, unless the configuration sets this label."""

RECEIVER_LABEL = "driftwire_receiver"
"""Label with the name of the receiver in driftwire."""

UNSTABLE_LABELS = ("severity", "status", "failure_mode", "layer", "segment")
"""Labels of an incident that are expected to change."""

INTERVALS_UNTIL_END = 4
"""Re-sends that must be missing before an alert ends by itself. Higher values tolerate longer interruptions."""

ALERTS_MAX = 64
"""Maximum number of alerts in one request. Higher values send fewer requests, but decode more alerts at a time."""

PATIENCE_S = 1.0
"""Seconds for which the other members may answer after one has accepted. Higher values wait longer for a slow member."""

logger = logging.getLogger("driftwire")


class AlertmanagerReceiver:
    """Receiver that posts incidents as alerts. An attempt succeeds if at least one member of the cluster accepts it.

    A member that does not answer would delay every alert. It is left out until the next re-send, which contains all
    open incidents.

    Parameters
    ----------
    settings
        Settings of the cluster.
    client
        Client for the requests.
    clock
        The wall clock, in Unix seconds.
    """

    def __init__(self, settings: AlertmanagerSettings, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._left_out: set[str] = set()

    async def deliver(self, dispatch: Dispatch) -> Delivery:
        """Post the alert once to every member."""
        labels = _read_reference(dispatch.reference) or alert_labels(dispatch)
        delivery = await self._post(dispatch.receiver, [self._build_alert(dispatch.incident, labels)])
        if delivery.outcome != "sent":
            return delivery
        reference = orjson.dumps(labels).decode()
        return Delivery("sent", dispatch.reason.text, 1, sent_at=self._now(), reference=reference)

    async def resend(self, resend: Resend) -> None:
        """Post open incidents again to every member. If no member can be reached, give up until the next re-send."""
        self._left_out.clear()
        for batch in resend.batches(ALERTS_MAX):
            alerts = [
                self._build_alert(incident, labels)
                for incident, reference in batch
                if (labels := _read_reference(reference)) is not None
            ]
            if not alerts:
                continue
            delivery = await self._post(resend.receiver, alerts)
            if delivery.outcome != "sent":
                logger.warning(
                    "route: receiver %s did not accept the re-send of %d open incidents: %s",
                    *(resend.receiver, len(alerts), delivery.reason),
                )
            if delivery.outcome == "retry":
                return

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _build_alert(self, incident: Incident, labels: Mapping[str, str]) -> dict[str, Any]:
        return postable_alert(incident, labels, self._now(), self._settings.resend_interval_s)

    async def _post(self, receiver: str, alerts: Sequence[Mapping[str, Any]]) -> Delivery:
        """Post alerts to every member. If no member accepts them, a retry makes sense unless all refused permanently."""
        try:
            urls = self._read_urls()
        except SecretUnavailable as error:
            return Delivery("retry", str(error), 1)
        members = [url for url in urls if url not in self._left_out] or urls
        deliveries = await self._post_to_members(members, orjson.dumps(alerts))
        problems = [delivery for delivery in deliveries if delivery.outcome != "sent"]
        if len(problems) < len(deliveries):
            for problem in problems:
                logger.warning("route: a member of receiver %s did not accept alerts: %s", receiver, problem.reason)
            return Delivery("sent", "", 1)
        self._left_out.clear()
        is_refused = len(problems) == len(urls) and all(problem.outcome == "failed" for problem in problems)
        return Delivery(
            "failed" if is_refused else "retry",
            "; ".join(problem.reason for problem in problems),
            1,
            retry_after_s=max(problem.retry_after_s for problem in problems),
        )

    async def _post_to_members(self, urls: Sequence[str], body: bytes) -> list[Delivery]:
        """Post to members concurrently. Once one member has accepted, leave out members that do not answer soon."""
        tasks = {asyncio.create_task(self._post_to(url, body)): url for url in urls}
        pending, patience_s = set(tasks), None
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                if any(task.result().outcome == "sent" for task in done):
                    patience_s = PATIENCE_S
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        late = [tasks[task] for task in pending]
        self._left_out.update(late)
        problem = (
            f"did not answer within {PATIENCE_S:.3g} s after another member, and is left out until the next re-send"
        )
        return [
            *(task.result() for task in tasks if task not in pending),
            *(Delivery("retry", f"{origin_of(url)} {problem}", 1) for url in late),
        ]

    async def _post_to(self, url: str, body: bytes) -> Delivery:
        address = f"{url.rstrip('/')}/api/v2/alerts"
        answer = await self._client.request("POST", address, {"Content-Type": "application/json"}, body)
        if not isinstance(answer, HttpAnswer):
            return answer
        return Delivery("sent", "", 1) if answer.is_success else answer.failure()

    def _read_urls(self) -> list[str]:
        settings = self._settings
        if settings.urls is None:
            source = f"the urls_file {settings.urls_file}"
            urls = read_secret(None, settings.urls_file, "urls").split()
        else:
            source = "urls"
            urls = [read_secret(url, None, "urls") for url in settings.urls]
        if not all(is_web_address(url) for url in urls):
            raise SecretUnavailable(f"cannot use {source}: each must be an http or https address with a host")
        return urls


def alert_labels(dispatch: Dispatch) -> dict[str, str]:
    """Return the labels of an alert, which identify it: those of the dispatch that are not expected to change."""
    labels = {name: values[0] for name, values in dispatch.labels.items() if name not in UNSTABLE_LABELS}
    labels |= {"incident_id": dispatch.incident.incident_id, RECEIVER_LABEL: dispatch.receiver}
    return {"alertname": ALERT_NAME} | {name: plain_text(value) for name, value in labels.items() if value}


def postable_alert(incident: Incident, labels: Mapping[str, str], now: int, resend_interval_s: float) -> dict[str, Any]:
    """Return an alert, as a JSON object.

    Parameters
    ----------
    incident
        The newest revision of the incident.
    labels
        Labels that identify the alert.
    now
        The wall clock (Unix ms). It limits the start of an alert, and the end of an incident that is over.
    resend_interval_s
        Seconds between two re-sends. The alert of an open incident ends by itself if several re-sends are missing.
    """
    starts_at = min(incident.started_at, now)
    if incident.status in CLOSED:
        ends_at = max(starts_at, min(incident.resolved_at or incident.updated_at, now))
    else:
        ends_at = now + round(INTERVALS_UNTIL_END * resend_interval_s * 1000)
    return {
        "labels": dict(labels),
        "annotations": _annotations(incident, labels),
        "startsAt": format_timestamp(starts_at),
        "endsAt": format_timestamp(ends_at),
    }


def _annotations(incident: Incident, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what people read. Annotations may change while an incident is open."""
    suspect = min(incident.suspects, key=lambda suspect: suspect.rank, default=None)
    action = min(
        (step for step in incident.containment if step.done_at is None), key=lambda step: step.rank, default=None
    )
    annotations = {
        "severity": incident.severity,
        "status": incident.status,
        "failure_mode": incident.failure_mode,
        "title": incident.title,
        "summary": incident.summary,
        "since": format_timestamp(incident.started_at),
        "suspect": "" if suspect is None else f"{suspect.kind} {suspect.name}: {suspect.reason}",
        "first_action": "" if action is None else f"{action.action.replace('_', ' ')} {action.target}: {action.reason}",
        "runbook": find_runbook(incident, labels),
        "merged_into": incident.merged_into or "",
    }
    return {name: plain_text(value) for name, value in annotations.items() if value}


def _read_reference(reference: str) -> dict[str, str] | None:
    """Return the labels of an earlier notification, or None if there are none or another kind of receiver returned it."""
    try:
        labels = orjson.loads(reference)
    except orjson.JSONDecodeError:
        return None
    return labels if isinstance(labels, dict) and "alertname" in labels else None
