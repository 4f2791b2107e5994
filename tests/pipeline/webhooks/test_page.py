"""The page "connect": its webhooks are valid settings, and its template for Argo CD has the fields that are read."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline.webhooks import WebhookSettings
from tests.pipeline.webhooks.requests import FILES, payload, send

PAGE = (Path(__file__).parents[3] / "docs" / "connect.md").read_text()
[SECTION] = re.findall(r"^## Changes from webhooks$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)


def blocks(kind):
    return re.findall(rf"^```{kind}$(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_every_publisher_has_a_webhook_on_the_page():
    webhooks = [webhook for block in blocks("toml") for webhook in tomllib.loads(block)["http"]["webhooks"].values()]
    kinds = [WebhookSettings.model_validate(webhook).kind for webhook in webhooks]
    assert sorted(kinds) == sorted(FILES)


@pytest.mark.parametrize(("name", "value"), re.findall(r"`(when|map|constants|subject_table) = ([^`]+)`", SECTION))
def test_every_key_on_the_page_is_valid(name, value):
    keys = tomllib.loads(f"{name} = {value}")
    WebhookSettings(kind="github", secrets=["s"], subjects=["{repository.name}"], **keys)


@pytest.mark.parametrize("kind", ["github", "cdevents"])
def test_the_page_ignores_other_environments_of_a_subject(kind):
    tables = [tomllib.loads(block)["http"]["webhooks"] for block in blocks("toml")]
    [webhook] = [webhook for table in tables for webhook in table.values() if webhook["kind"] == kind]
    content = payload(kind)
    environment = content["deployment"] if kind == "github" else content["subject"]["content"]["environment"]
    name = "environment" if kind == "github" else "id"
    environment[name] = "production"
    keys = {key: webhook[key] for key in ("subjects", "when")}
    assert send(kind, content, **keys).outputs
    environment[name] = "preview"
    assert send(kind, content, **keys).ignored


def test_the_template_of_argocd_sends_the_fields_of_the_payload():
    [block] = blocks("yaml")
    data = yaml.safe_load(block)["data"]
    body = yaml.safe_load(data["template.driftwire-deployed"])["webhook"]["driftwire"]["body"]
    assert re.findall(r'^  "(\w+)": \{\{', body, re.MULTILINE) == list(payload("argocd"))
    assert "range .app.status.history" in body, "the last sync can repeat the sync that changed the revision"
    [trigger] = yaml.safe_load(data["trigger.driftwire-deployed"])
    assert trigger["send"] == ["driftwire-deployed"]
    service = yaml.safe_load(data["service.webhook.driftwire"])
    assert service["headers"][0] == {"name": "Authorization", "value": "Bearer $driftwire-token"}
