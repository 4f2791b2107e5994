"""What each publisher's payload means: the deployment, its identity, and what is ignored."""

import itertools
import json

import pytest

from pipeline.correlate.deployments import DeploymentHistory, ServedTraffic
from pipeline.webhooks import WebhookRefused
from schemas.deployment import Deployment
from schemas.timestamp import parse_timestamp
from tests.pipeline.webhooks.requests import NOW, deployments, payload, send, sign


def merged(original, *path, **changes):
    """Return a payload with changed values in the object at a path."""
    copy = json.loads(json.dumps(original))
    inner = copy
    for name in path:
        inner = inner[name]
    inner.update(changes)
    return copy


def in_any_order(*results):
    """Check that what is stored does not depend on the order of arrival, and return it."""
    stored = [deployments(*order) for order in itertools.permutations(results)]
    assert all(one == stored[0] for one in stored)
    return stored[0]


# GitHub


def test_a_deployment_of_github_is_a_release():
    [deployment] = deployments(send("github"))
    assert deployment == {
        "version": 1,
        "deployment_id": "github:Codertocat/Hello-World:145988746",
        "timestamp": 1_557_933_655_000,
        "kind": "code",
        "subject": "Hello-World",
        "environment": "production",
        "name": "Codertocat/Hello-World",
        "to_version": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
        "expect_shift": [],
        "author": "Codertocat",
    }


def test_the_author_is_the_person_who_started_the_run_that_a_bot_deploys():
    content = merged(payload("github"), "deployment", creator={"login": "github-actions[bot]", "type": "Bot"})
    assert deployments(send("github", content | {"workflow_run": None}))[0]["author"] == "github-actions[bot]"
    run = {"actor": {"login": "ana"}, "triggering_actor": {"login": "ben"}, "run_attempt": 2}
    assert deployments(send("github", content | {"workflow_run": run}))[0]["author"] == "ben"


@pytest.mark.parametrize("state", ["queued", "in_progress", "pending", "waiting", "failure", "error", "inactive"])
def test_only_a_deployment_of_github_that_succeeded_is_used(state):
    result = send("github", merged(payload("github"), "deployment_status", state=state))
    assert result.outputs == []
    assert "has not succeeded, or a later one has replaced it" in result.ignored


def test_a_ping_and_other_events_of_github_are_answered():
    content = payload("github", "github_ping")
    for event in ("ping", "push"):
        headers = sign("github", json.dumps(content).encode()) | {"x-github-event": event}
        assert send("github", content, headers=headers).ignored


def test_statuses_of_github_are_the_same_release_in_any_order():
    content = payload("github")
    others = [
        send("github", merged(content, "deployment_status", state=state)) for state in ("in_progress", "inactive")
    ]
    assert len(in_any_order(send("github"), *others)) == 1


def test_deployments_of_github_are_stored_in_order_of_their_time_in_any_order_of_arrival():
    later = merged(payload("github"), "deployment", id=145988747, sha="0d1a26e")
    later = merged(later, "deployment_status", created_at="2019-05-15T16:00:00Z")
    stored = in_any_order(send("github"), send("github", later))
    assert [one["to_version"][:7] for one in stored] == ["f95f852", "0d1a26e"]


# Argo CD


def test_a_sync_of_argocd_is_a_release_with_its_previous_revision():
    [deployment] = deployments(send("argocd"))
    assert deployment["deployment_id"] == "argocd:argocd/support-bot:7:2026-11-24T03:11:38Z"
    assert (deployment["from_version"][:7], deployment["to_version"][:7]) == ("6f1c9d4", "c4b5f1a")
    assert (deployment["name"], deployment["author"]) == ("support-bot", "ariel")


def test_a_sync_of_argocd_that_deploys_the_same_revision_is_ignored():
    content = payload("argocd")
    assert send("argocd", content | {"previous_revision": content["revision"]}).ignored


def test_the_first_sync_of_argocd_has_no_previous_revision():
    [deployment] = deployments(send("argocd", payload("argocd") | {"previous_revision": "", "author": ""}))
    assert "from_version" not in deployment
    assert "author" not in deployment


def test_a_rollback_of_argocd_is_another_deployment_in_any_order():
    content = payload("argocd")
    back = content | {
        "id": 8,
        "revision": content["previous_revision"],
        "previous_revision": content["revision"],
        "deployed_at": "2026-11-24T03:12:10Z",
    }
    first, second = in_any_order(send("argocd"), send("argocd", back))
    assert second["to_version"] == first["from_version"]


def test_an_application_of_argocd_that_was_created_again_counts_its_syncs_from_the_start():
    again = payload("argocd") | {"revision": "9b7c1d2", "previous_revision": "", "deployed_at": "2026-11-24T03:12:20Z"}
    assert len(in_any_order(send("argocd"), send("argocd", again))) == 2


# LaunchDarkly


def flag(production, *, action="updateOn", resource="proj/p:env/production:flag/example-flag", **changes):
    content = merged(payload("launchdarkly"), "currentVersion", "environments", production=production)
    content["accesses"] = [{"action": action, "resource": resource}]
    content["target"]["resources"] = [resource]
    return content | changes


def state(**changes):
    return {"on": True, "fallthrough": {"variation": 0}, "offVariation": 1} | changes


def test_a_flag_that_is_turned_on_is_a_deployment_in_its_environment():
    [deployment] = deployments(send("launchdarkly", subjects=[]))
    assert deployment["deployment_id"] == "launchdarkly:5e3c1f2a9a7b4c0012345678"
    assert (deployment["kind"], deployment["name"], deployment["environment"]) == ("flag", "example-flag", "production")
    assert (deployment["from_version"], deployment["to_version"]) == ("false", "true")
    assert deployment["timestamp"] == 1_795_489_920_123
    assert "subject" not in deployment


def test_a_flag_that_is_turned_off_serves_its_off_variation():
    content = payload("launchdarkly")
    content["previousVersion"], content["currentVersion"] = content["currentVersion"], content["previousVersion"]
    [deployment] = deployments(send("launchdarkly", content))
    assert (deployment["from_version"], deployment["to_version"]) == ("true", "false")


def test_a_percentage_rollout_goes_to_the_variation_that_gains_most():
    shares = [{"variation": 0, "weight": 10_000}, {"variation": 1, "weight": 90_000}]
    rollout = state(fallthrough={"rollout": {"variations": shares}})
    [deployment] = deployments(send("launchdarkly", flag(rollout, action="updateFallthrough")))
    assert (deployment["from_version"], deployment["to_version"]) == ("false", "true")


def test_a_variation_that_is_a_text_is_named_by_its_name():
    content = payload("launchdarkly")
    for version in ("previousVersion", "currentVersion"):
        content[version]["variations"] = [
            {
                "name": "new prompt",
                "value": "MARKED-TEXT: you are a kind assistant. Never mention the price of a product.",
            },
            {"value": "MARKED-TEXT\nin two lines"},
        ]
    [deployment] = deployments(send("launchdarkly", content))
    assert (deployment["from_version"], deployment["to_version"]) == ("variation 1", "new prompt")
    assert "MARKED-TEXT" not in str(deployment)


def test_a_change_of_the_targeting_alone_has_no_versions():
    content = flag(state(rules=[{"variation": 0}]), action="updateRules")
    content["previousVersion"] = merged(content["currentVersion"], "environments", production=state())
    [deployment] = deployments(send("launchdarkly", content))
    assert not {"from_version", "to_version"} & set(deployment)


def test_a_change_of_the_targeting_of_a_flag_that_is_off_is_ignored():
    same = state(on=False, rules=[{"variation": 0}])
    assert send("launchdarkly", flag(same, action="updateRules")).ignored
    assert deployments(send("launchdarkly", flag(same, action="updateFlagVariations")))


def test_a_flag_whose_versions_are_not_sent_was_turned_on_or_off():
    content = payload("launchdarkly") | {"previousVersion": None, "currentVersion": None}
    [deployment] = deployments(send("launchdarkly", content))
    assert (deployment["from_version"], deployment["to_version"]) == ("off", "on")


@pytest.mark.parametrize("action", ["updateName", "updateTags", "updateMaintainer"])
def test_an_entry_that_changes_no_served_variation_is_ignored(action):
    assert "does not change which variation" in send("launchdarkly", flag(state(on=False), action=action)).ignored


def test_an_action_that_is_not_known_is_used_if_it_changes_the_served_variation():
    [deployment] = deployments(send("launchdarkly", flag(state(), action="stopMeasuredRolloutOnFlagFallthrough")))
    assert (deployment["from_version"], deployment["to_version"]) == ("false", "true")


def test_an_entry_that_is_not_about_a_flag_is_ignored():
    assert send("launchdarkly", payload("launchdarkly", "launchdarkly_environment")).ignored


def test_entries_of_launchdarkly_are_stored_in_order_of_their_time_in_any_order_of_arrival():
    later = payload("launchdarkly") | {"_id": "5e3c1f2a9a7b4c0012345679", "date": NOW - 20_000}
    later["previousVersion"], later["currentVersion"] = later["currentVersion"], later["previousVersion"]
    stored = in_any_order(send("launchdarkly"), send("launchdarkly", later))
    assert [one["to_version"] for one in stored] == ["true", "false"]


# Langfuse


def test_the_two_events_of_one_move_are_one_change_in_any_order():
    loses = send("langfuse", payload("langfuse", "langfuse_updated"))
    [deployment] = in_any_order(send("langfuse"), loses)
    assert (deployment["kind"], deployment["name"], deployment["to_version"]) == ("prompt", "movie-critic", "3")
    assert deployment["subject"] == "movie-critic"
    assert loses.ignored


def test_no_text_of_a_prompt_is_copied():
    content = merged(payload("langfuse"), "prompt", prompt="MARKED-TEXT", config={"key": "MARKED-TEXT"})
    assert b"MARKED-TEXT" not in send("langfuse", content).outputs[0].value


def test_a_created_and_an_updated_event_of_one_version_at_one_time_are_one_change():
    updated = payload("langfuse") | {"action": "updated", "id": "74528176"}
    assert len(in_any_order(send("langfuse"), send("langfuse", updated))) == 1


def test_the_report_that_a_version_is_no_longer_the_latest_is_no_change_for_correlate():
    draft = merged(payload("langfuse"), "prompt", id="prompt_abc124", version=4, labels=["latest"])
    assert send("langfuse", draft).ignored
    again = merged(payload("langfuse"), "prompt", labels=["production"], updatedAt="2024-07-10T12:00:00Z")
    again |= {"action": "updated", "id": "74528177"}
    history = DeploymentHistory(10)
    for result in (send("langfuse", again), send("langfuse")):
        history.add(Deployment.from_json(result.outputs[0].value))
    changes = list(history.affecting(ServedTraffic("movie-critic", None, None), 0, NOW))
    assert [change.timestamp for change in changes] == [parse_timestamp("2024-07-10T10:30:00Z")]


def test_a_label_that_moves_back_is_another_change():
    back = merged(
        payload("langfuse", "langfuse_updated"), "prompt", labels=["production"], updatedAt="2024-07-10T11:00:00Z"
    )
    stored = in_any_order(send("langfuse"), send("langfuse", back))
    assert [one["to_version"] for one in stored] == ["3", "2"]


def test_the_label_of_a_webhook_can_be_another_one():
    assert send("langfuse", label="staging").ignored
    assert deployments(send("langfuse", label="latest"))


def test_a_deleted_version_has_a_from_version_only():
    [deployment] = deployments(send("langfuse", payload("langfuse") | {"action": "deleted"}))
    assert deployment["from_version"] == "3"
    assert "to_version" not in deployment


def test_the_deletion_of_a_version_is_another_change_than_its_move():
    deleted = payload("langfuse") | {"action": "deleted", "timestamp": "2024-07-10T12:00:00Z"}
    moved, gone = in_any_order(send("langfuse"), send("langfuse", deleted))
    assert (moved["to_version"], gone["from_version"]) == ("3", "3")


# CDEvents


@pytest.mark.parametrize("predicate", ["deployed", "upgraded", "rolledback"])
def test_a_service_of_cdevents_is_released_in_its_environment(predicate):
    content = merged(payload("cdevents"), "context", type=f"dev.cdevents.service.{predicate}.0.3.0")
    [deployment] = deployments(send("cdevents", content, subjects=[]))
    assert deployment["deployment_id"] == "cdevents:/event/source/123:271069a8-fc18-44f1-b38f-9d70a1695819"
    assert (deployment["environment"], deployment["name"]) == ("test123", "mySubject123")
    assert deployment["to_version"].startswith("sha256:0b31b1c0")


def test_a_removed_service_has_no_version():
    content = merged(payload("cdevents"), "context", type="dev.cdevents.service.removed.0.3.0")
    content = merged(content, "subject", content={"environment": {"id": "test123"}})
    [deployment] = deployments(send("cdevents", content))
    assert "to_version" not in deployment
    assert deployment["summary"] == "The service was removed."


@pytest.mark.parametrize("event", ["dev.cdevents.service.published.0.3.0", "dev.cdevents.build.finished.0.3.0"])
def test_other_events_of_cdevents_are_ignored(event):
    assert send("cdevents", merged(payload("cdevents"), "context", type=event)).ignored


def test_an_event_in_structured_mode_is_the_same_change_as_in_binary_mode():
    data = payload("cdevents")
    event = {
        "specversion": "1.0",
        "id": data["context"]["id"],
        "source": data["context"]["source"],
        "type": data["context"]["type"],
        "datacontenttype": "application/json",
        "data": data,
    }
    assert len(in_any_order(send("cdevents"), send("cdevents", event))) == 1


def test_events_of_cdevents_are_stored_in_order_of_their_time_in_any_order_of_arrival():
    later = merged(payload("cdevents"), "context", id="2", timestamp="2023-03-20T15:00:00Z")
    later = merged(later, "subject", "content", artifactId="pkg:oci/myapp@v2")
    assert [one["to_version"][:6] for one in in_any_order(send("cdevents"), send("cdevents", later))] == [
        "sha256",
        "v2",
    ]


# generic


def test_a_generic_webhook_is_mapped():
    [deployment] = deployments(send("generic", map=["build.finished_at=timestamp", "build.before=from_version"]))
    assert deployment["deployment_id"].startswith("webhook:")
    assert (deployment["subject"], deployment["from_version"]) == ("support-bot", "v41")


def test_builds_are_stored_in_order_of_their_time_in_any_order_of_arrival():
    later = merged(payload("generic"), "build", id=813, version="v43", finished_at="2026-11-24T03:11:50Z")
    assert [one["to_version"] for one in in_any_order(send("generic"), send("generic", later))] == ["v42", "v43"]


def test_conditions_on_one_path_are_alternatives_and_all_paths_must_hold():
    conditions = ["status=passed", "status=fixed", "build.id=812"]
    assert deployments(send("generic", when=conditions))
    assert deployments(send("generic", payload("generic") | {"status": "fixed"}, when=conditions))
    assert send("generic", payload("generic") | {"status": "failed"}, when=conditions).ignored
    assert send("generic", merged(payload("generic"), "build", id=813), when=conditions).ignored


def test_an_unknown_kind_is_used_with_a_warning():
    result = send("generic", constants={"kind": "rollout"})
    assert deployments(result)[0]["kind"] == "other"
    assert result.warnings == ["the kind is unknown and was read as other"]


# subjects


def test_a_mapping_takes_precedence_over_what_a_payload_means():
    content = merged(payload("github"), "deployment", payload={"previous": "0d1a26e"})
    keys = {"map": ["deployment.payload.previous=from_version"], "constants": {"kind": "model"}}
    [deployment] = deployments(send("github", content, **keys))
    assert (deployment["from_version"], deployment["kind"]) == ("0d1a26e", "model")


def test_a_change_of_several_subjects_is_one_deployment_each():
    stored = deployments(send("github", subjects=["support-bot", "search", "search"]))
    assert {one["subject"] for one in stored} == {"support-bot", "search"}
    assert len({one["deployment_id"] for one in stored}) == 1


def test_a_table_gives_the_subjects_of_a_repository_and_ignores_others():
    table = {"Hello-World": ["support-bot", "search"]}
    assert len(deployments(send("github", subject_table=table))) == 2
    other = merged(payload("github"), "repository", name="Website")
    assert "subject_table" in send("github", other, subject_table=table).ignored


def test_a_subject_whose_source_is_missing_is_refused():
    with pytest.raises(WebhookRefused, match=r'the subject "\{repository.team\}" has a source that is missing'):
        send("github", subjects=["{repository.team}"])


def test_a_change_that_affects_nothing_in_particular_is_refused():
    content = merged(payload("github"), "deployment", environment=None)
    with pytest.raises(WebhookRefused, match="names no environment"):
        send("github", content, subjects=[])
