"""Client for serving systems: sends records, late outcomes and deployments to driftwire, and never disturbs its caller."""

from driftwire_client.client import Client, Counts
from driftwire_client.fields import DeploymentFields, OutcomeFields, RecordFields
from driftwire_client.security import SecurityOptions

__all__ = ["Client", "Counts", "DeploymentFields", "OutcomeFields", "RecordFields", "SecurityOptions"]
