"""Readers of the payloads of webhooks, one file per publisher.

They import the settings and the request of a webhook. Only :mod:`pipeline.webhooks.webhook` imports them.
"""

from pipeline.webhooks.publishers.argocd import read_argocd
from pipeline.webhooks.publishers.cdevents import read_cdevents
from pipeline.webhooks.publishers.generic import read_generic
from pipeline.webhooks.publishers.github import read_github
from pipeline.webhooks.publishers.langfuse import read_langfuse
from pipeline.webhooks.publishers.launchdarkly import read_launchdarkly
from pipeline.webhooks.publishers.pagerduty import read_pagerduty

__all__ = [
    "read_argocd",
    "read_cdevents",
    "read_generic",
    "read_github",
    "read_langfuse",
    "read_launchdarkly",
    "read_pagerduty",
]
