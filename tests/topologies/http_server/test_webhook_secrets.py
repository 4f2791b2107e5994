"""Secrets of webhooks: one without a visible character would let anybody sign, so it is no secret."""

import pytest

from pipeline.webhooks import WebhookSettings
from topologies.http_server import missing_webhook_secrets
from topologies.http_server.webhook_requests import read_secrets
from topologies.receivers import SecretUnavailable


@pytest.mark.parametrize("secret", ["", " ", "\t\n", "${BLANK_SECRET}"])
def test_a_blank_secret_is_a_problem_before_and_during_a_request(secret, monkeypatch):
    monkeypatch.setenv("BLANK_SECRET", "  ")
    settings = WebhookSettings(kind="github", secrets=["right", secret])
    [problem] = missing_webhook_secrets({"ci": settings})
    assert problem == "http.webhooks.ci: cannot use http.webhooks.ci.secrets: a secret is blank: set it, or remove it"
    with pytest.raises(SecretUnavailable):
        read_secrets("ci", settings)


def test_a_line_end_after_a_secret_is_not_part_of_it(monkeypatch):
    monkeypatch.setenv("SECRET_WITH_LINE_END", "right\n")
    settings = WebhookSettings(kind="github", secrets=["${SECRET_WITH_LINE_END}"])
    assert read_secrets("ci", settings) == [b"right"]
