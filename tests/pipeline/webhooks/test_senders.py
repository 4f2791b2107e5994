"""Senders of webhooks: a right signature or token is accepted, and a wrong, missing or replayed one is refused."""

import json

import pytest

from pipeline.webhooks import WebhookRefused, read_webhook
from tests.pipeline.webhooks.requests import FILES, NOW, SECRET, deployments, payload, send, settings, sign

KINDS = sorted(FILES)
TOKENS = ("argocd", "cdevents")


def refused(*args, **keys):
    with pytest.raises(WebhookRefused) as error:
        send(*args, **keys)
    assert SECRET.decode() not in error.value.message
    return error.value


def body_of(kind):
    return json.dumps(payload(kind)).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_documented_payload_with_the_right_proof_is_a_deployment(kind):
    [deployment] = deployments(send(kind))
    assert deployment["subject"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_secret_is_refused(kind):
    assert refused(kind, headers=sign(kind, body_of(kind), secret=b"another secret")).status == 401


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_proof_is_refused(kind):
    assert refused(kind, headers={"x-github-event": "deployment_status"}).status == 401


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in TOKENS])
def test_a_changed_body_is_refused(kind):
    content = payload(kind)
    content["added"] = True
    assert refused(kind, content, headers=sign(kind, body_of(kind))).status == 401


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_that_is_not_text_of_its_form_is_refused(kind):
    for sent in (
        "",
        "=",
        "t=,v1=",
        "t=1,v1=1",
        "sha256=",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "\udcff",
        "é" * 64,
        "0" * 64,
    ):
        headers = dict.fromkeys(sign(kind, body_of(kind)), sent)
        assert refused(kind, headers=headers).status == 401


@pytest.mark.parametrize("kind", KINDS)
def test_any_of_several_secrets_proves_the_sender(kind):
    for secrets in ((SECRET, b"the next secret"), (b"the next secret", SECRET)):
        assert deployments(send(kind, secrets=secrets))


@pytest.mark.parametrize("secrets", [(), (b"",), (SECRET, b"")])
def test_an_empty_secret_is_never_used(secrets):
    with pytest.raises(ValueError, match="needs a secret"):
        send("github", secrets=secrets)


@pytest.mark.parametrize("late_s", [301, -301])
def test_a_replayed_request_of_langfuse_is_refused(late_s):
    error = refused("langfuse", headers=sign("langfuse", body_of("langfuse")), now_ms=NOW + late_s * 1000)
    assert error.status == 401
    assert "signed more than 300 s from its arrival" in error.message


def test_a_request_of_langfuse_within_the_window_is_accepted_and_its_time_cannot_be_changed():
    headers = sign("langfuse", body_of("langfuse"))
    assert deployments(send("langfuse", headers=headers, now_ms=NOW + 299_000))
    later = {
        "x-langfuse-signature": headers["x-langfuse-signature"].replace(f"t={NOW // 1000}", f"t={NOW // 1000 + 1}")
    }
    assert refused("langfuse", headers=later).status == 401


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "langfuse"])
def test_a_replayed_request_without_a_signed_time_is_the_same_deployment(kind):
    headers = sign(kind, body_of(kind))
    day_later = send(kind, headers=headers, now_ms=NOW + 86_400_000)
    assert deployments(send(kind), day_later) == deployments(send(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_is_delivered_twice_is_one_deployment(kind):
    assert len(deployments(send(kind), send(kind))) == 1


def test_a_token_can_be_in_a_header_of_its_own():
    result = send("argocd", headers={"x-driftwire-token": SECRET.decode()}, header="X-Driftwire-Token")
    assert len(deployments(result)) == 1
    assert refused("argocd", headers=sign("argocd", b""), header="X-Driftwire-Token").status == 401


def test_a_generic_webhook_accepts_a_token_or_a_digest_in_hex():
    token = send("generic", headers={"x-token": SECRET.decode()}, signature="token", header="X-Token")
    assert len(deployments(token)) == 1
    body = json.dumps(payload("generic")).encode()
    for prefix in ("", "sha256="):
        digest = sign("launchdarkly", body)["x-ld-signature"]
        assert send("generic", headers={"x-build-signature": prefix + digest}).outputs


def test_the_example_of_github_is_verified():
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }
    with pytest.raises(WebhookRefused) as error:
        read_webhook(settings("github"), [SECRET], headers, b"Hello, World!", NOW)
    assert (error.value.status, error.value.message[:8]) == (400, "not JSON")
