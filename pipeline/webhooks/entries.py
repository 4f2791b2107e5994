"""Entries of a webhook's mapping, as they are written in the configuration."""

from dataclasses import dataclass
from typing import Any

from pipeline.source_path import SourcePath
from pipeline.wording import did_you_mean
from schemas.deployment import Deployment

DEPLOYMENT_FIELDS = tuple(name for name in Deployment.model_fields if name not in ("version", "subject"))
"""Fields of a deployment that a mapping can set. The subjects have rules of their own."""


@dataclass(frozen=True, slots=True)
class MappedDeploymentField:
    """A field of a deployment and the path of its values in the payload."""

    source: SourcePath
    field: str


def parse_deployment_field(text: str) -> MappedDeploymentField:
    """Parse ``SOURCE=FIELD``.

    Raises
    ------
    ValueError
        If the text has another form or the field is unknown.

    >>> parse_deployment_field("build.version=to_version").field
    'to_version'
    """
    source, separator, name = text.rpartition("=")
    if not (source and separator and name):
        raise ValueError(f'map "{text}": use SOURCE=FIELD, as in build.version=to_version')
    try:
        return MappedDeploymentField(SourcePath(source), require_deployment_field(name))
    except ValueError as error:
        raise ValueError(f'map "{text}": {error}') from None


def require_deployment_field(name: str) -> str:
    """Return the name of a field. Raise ``ValueError`` if a mapping cannot set the field."""
    if name == "subject":
        raise ValueError("set the subjects with the key subjects")
    if name not in DEPLOYMENT_FIELDS:
        raise ValueError(f'a deployment has no field "{name}"; {did_you_mean(name, DEPLOYMENT_FIELDS)}')
    return name


class Condition:
    """A condition for the use of a webhook: ``SOURCE=VALUE``.

    Raises
    ------
    ValueError
        If the text has another form.

    >>> Condition("build.status=passed").holds({"build": {"status": "passed"}})
    True
    """

    def __init__(self, text: str) -> None:
        source, separator, self.value = text.partition("=")
        if not (source and separator):
            raise ValueError(f'when "{text}": use SOURCE=VALUE, as in build.status=passed')
        try:
            self.source = SourcePath(source)
        except ValueError as error:
            raise ValueError(f'when "{text}": {error}') from None

    def holds(self, payload: dict[str, Any]) -> bool:
        """Return whether the payload has this value. Numbers and booleans are compared as JSON."""
        found = self.source.find(payload)
        if isinstance(found, bool):
            found = "true" if found else "false"
        return not isinstance(found, (dict, list)) and found is not None and str(found) == self.value
