"""Callback for litellm: reports each call of a model to driftwire, in Python and in the proxy of litellm.

In Python, add ``DriftwireLogger(client)`` to ``litellm.callbacks``. In the proxy, name
``driftwire_client.litellm_callback.instance`` in ``config.yaml``: it takes its settings from environment variables.
"""

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from driftwire_client.client import Client
from driftwire_client.litellm_payload import SubjectTemplate, reached_model, read_payload
from driftwire_client.security import SecurityOptions

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError as error:
    raise ImportError("driftwire_client.litellm_callback needs litellm, which could not be imported") from error

BOOTSTRAP_VARIABLE = "DRIFTWIRE_BOOTSTRAP"
SUBJECT_VARIABLE = "DRIFTWIRE_SUBJECT"
ENVIRONMENT_VARIABLE = "DRIFTWIRE_ENVIRONMENT"
SECURITY_PREFIX = "DRIFTWIRE_KAFKA_"
"""Environment variables of the instance for the proxy. Those of ``security`` are the prefix and the option's name."""

DEFAULT_SUBJECT = "{model_group}"

_FALLBACK = SubjectTemplate(DEFAULT_SUBJECT)

logger = logging.getLogger("driftwire_client")


class DriftwireLogger(CustomLogger):
    """Sends one record for each call of a model that litellm reports, successful or not. It never raises or waits.

    Each attempt of the router is a call of its own: a retry or a fallback is another record.

    Parameters
    ----------
    client
        The client that sends. Its labels are those of all records, except for its subject.
    subject
        Rule for the subject, with names in braces: ``model_group`` (the model if there is no group), ``model``,
        ``team_alias``, ``key_alias``, or ``metadata.KEY`` for a key of the request's metadata. Without braces, all
        records have this subject. A request without one of the values has the subject ``{model_group}``.

    Raises
    ------
    ValueError
        If the rule is wrong.
    """

    def __init__(self, client: Client, *, subject: str = DEFAULT_SUBJECT) -> None:
        super().__init__()
        self._client = client
        self._subject = SubjectTemplate(subject)
        self._has_failed = False

    def log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Report a call of synchronous code, successful or not."""
        self._report(kwargs)

    async def async_log_success_event(self, kwargs: dict[str, Any], *_: Any, **__: Any) -> None:
        """Report a call of a coroutine, successful or not."""
        self._report(kwargs)

    log_failure_event = log_success_event
    async_log_failure_event = async_log_success_event

    def _report(self, kwargs: Mapping[str, Any]) -> None:
        try:
            payload = kwargs["standard_logging_object"]
            if not reached_model(payload):
                return
            metadata = _find_metadata(kwargs)
            fields = read_payload(payload, metadata)
            fields["subject"] = self._subject.build(payload, metadata) or _FALLBACK.build(payload, metadata)
            self._client.record(**fields)
        except Exception as error:  # noqa: BLE001  the answer to the user comes first
            if not self._has_failed:
                self._has_failed = True
                logger.warning("a call of litellm could not be read (%s); others are not logged", type(error).__name__)


def _find_metadata(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = kwargs.get("litellm_params") or {}
    return {**(parameters.get("metadata") or {}), **(parameters.get("litellm_metadata") or {})}


@cache
def _create_instance() -> DriftwireLogger:
    bootstrap = os.environ.get(BOOTSTRAP_VARIABLE)
    if not bootstrap:
        raise ValueError(f"the environment variable {BOOTSTRAP_VARIABLE} is missing: set it to Kafka's HOST:PORT")
    security = {
        name: value
        for name in SecurityOptions.__annotations__
        if (value := os.environ.get(SECURITY_PREFIX + name.upper()))
    }
    client = Client(
        bootstrap,
        environment=os.environ.get(ENVIRONMENT_VARIABLE),
        security=cast("SecurityOptions", security),
    )
    return DriftwireLogger(client, subject=os.environ.get(SUBJECT_VARIABLE) or DEFAULT_SUBJECT)


def __getattr__(name: str) -> DriftwireLogger:
    """Create ``instance`` when it is first used, because only the proxy needs the environment variables."""
    if name == "instance":
        return _create_instance()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
