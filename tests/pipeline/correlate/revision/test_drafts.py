"""Drafts: honest, specific and blameless, with current actions, and without anything that readers must not see."""

import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.revision import add_drafts, build_drafts
from pipeline.correlate.revision.impact import describe_compromised_data, describe_impact
from pipeline.correlate.settings import CorrelateSettings
from schemas.incident import Draft, Incident
from tests.pipeline.correlate.builders import (
    MINUTE,
    START,
    command,
    deployment,
    drift,
    later,
    only,
    tick,
)
from tests.pipeline.correlate.outages import failing, the_parent

EXPOSED, EMPTY, REFUSED = drift("pii_detected"), drift("empty", now=0.8), drift()
NAMED = CorrelateSettings(announce_after_s=0, public_names={"support-bot": "our support assistant"})


PARAGRAPHS = """
DRAFT. Before a person sends this, check every sentence and fill in what is in [brackets].
What happened: Our support assistant, which is an AI system, may have shown personal data in its answers that should not \
have been there. We are sorry.
When, and how much: since about 2026-11-24 03:12 UTC, and it continues; 9.1 % of the monitored requests at detection, normally 1.0 %. \
[Say how many people.]
What it means for you: Personal data may be compromised. [Say whose data and which kind, whether anybody saw it who should \
not have, and what people should do. If this is not known yet, say so.]
Why: most likely a change that we made to it at 2026-11-24 03:11 UTC.
What we have done: [nothing is recorded: say what was switched off, rolled back or filtered, and when].
What we are doing: [say what is being done now, and what will change so that it does not recur].
Next: the next message comes by 2026-11-24 04:12 UTC. [Say where to ask.]
"""


def drafts(*contracts, settings=NAMED):
    return {draft.audience: draft for draft in build_drafts(only(*contracts, settings=settings))}


def external(*contracts, settings=NAMED):
    return drafts(*contracts, settings=settings)["external"].text


@pytest.mark.parametrize(
    ("opened", "audiences"),
    [
        (EXPOSED, ["internal", "external"]),
        (EMPTY, ["internal", "external"]),
        (REFUSED, ["internal"]),
        (drift("length", tier="ticket"), []),
    ],
)
def test_leadership_has_a_draft_from_p3_and_users_from_p2_and_a_ticket_has_none(opened, audiences):
    assert list(drafts(opened)) == audiences


def test_a_revision_of_an_earlier_version_contains_its_drafts():
    draft = Draft(audience="internal", subject="P2 open", text="DRAFT.")
    earlier = only(EXPOSED).model_copy(update={"draft_facts": None, "drafts": [draft]})
    assert build_drafts(earlier) == [draft]


def test_a_failure_mode_of_a_newer_version_has_the_drafts_of_an_unknown_one():
    revision = only(EXPOSED)

    def texts(name):
        facts = revision.draft_facts.model_copy(update={"failure_mode": name})
        return build_drafts(revision.model_copy(update={"draft_facts": facts}))

    assert texts("of_a_newer_version") == texts("unknown") == texts("")


def test_a_revision_contains_facts_and_its_reader_adds_the_drafts():
    revision = only(EXPOSED)
    assert (revision.drafts, revision.draft_facts is None) == ([], False)
    read = add_drafts(Incident.from_json(revision.to_json()))
    assert (read.drafts, read.draft_facts) == (build_drafts(revision), None)


def test_a_draft_to_users_reads_like_this():
    draft = drafts(deployment(), EXPOSED)["external"]
    assert draft.subject == "Our support assistant: we are working on a problem"
    assert draft.text.split("\n\n") == PARAGRAPHS.strip().split("\n")


def test_a_draft_to_leadership_has_what_is_needed_to_act():
    text = drafts(deployment(), EXPOSED, command("acknowledge", only(EXPOSED).incident_id))["internal"].text
    for part in (
        "an AI system",
        "pii_detected 9.1 %",
        "prompt v41 -> v42",
        "kill switch: the feature flag of support-bot",
    ):
        assert part in text
    assert "Acknowledged by ann." in text
    assert only(EXPOSED).incident_id in text


@pytest.mark.parametrize("audience", ["internal", "external"])
def test_every_draft_is_marked_as_one_and_names_an_ai_system(audience):
    text = drafts(EXPOSED)[audience].text
    assert text.startswith("DRAFT. ")
    assert "an AI system" in text


def test_a_draft_to_users_names_no_person_subject_tenant_version_or_supplier():
    down = deployment("d-9", kind="provider_status", subject=None, provider="acme-ai", to_version="degraded")
    tenant = EMPTY.model_copy(update={"segment": "tenant=secretcorp", "provider": "acme-ai"})
    classified = command("classify", only(tenant).incident_id, severity="P1", note="as ben said")
    draft = drafts(down, deployment("d-8"), tenant, classified)["external"]
    for secret in ("support-bot", "secretcorp", "acme", "v42", "ann", "ben", "degraded"):
        assert secret not in draft.text.replace("Say who", "")
        assert secret not in draft.subject
    assert "Not everyone was affected: [say who was, if that may be disclosed]." in draft.text


def test_a_region_may_be_named_to_users():
    text = external(EMPTY.model_copy(update={"segment": "region=eu"}))
    assert "requests at detection, normally 0.2 % in eu." in text
    assert "Not everyone" not in text


def test_a_subject_without_a_public_name_is_called_by_its_subject():
    assert "Support-bot, which is an AI system, has given empty answers." in external(
        EMPTY, settings=CorrelateSettings()
    )


def test_a_supplier_is_not_blamed():
    down = deployment("d-9", kind="provider_status", subject=None, provider="acme-ai")
    both = drafts(down, EMPTY.model_copy(update={"provider": "acme-ai"}))
    assert (
        "We chose and integrated that service, and we are responsible for putting this right." in both["external"].text
    )
    assert "We chose and integrated it, so we are responsible for it." in both["internal"].text


def test_an_unknown_cause_is_stated_as_unknown():
    assert "we do not know the cause yet" in external(EMPTY)
    assert "Cause: not known yet." in drafts(EMPTY)["internal"].text


def test_a_rollback_is_listed_as_done():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    text = external(deployment(), EXPOSED, back, tick(START + 3 * MINUTE))
    assert "What we have done: we reverted a change at 2026-11-24 03:14 UTC. [Say what else was done.]" in text


def test_recovered_signals_have_an_end_and_a_resolution_ends_the_messages():
    back = later(EMPTY, 300)
    mitigated, resolved = drafts(EMPTY, back)["external"], drafts(EMPTY, back, tick(START + 60 * MINUTE))["external"]
    assert mitigated.subject.endswith(": a problem has stopped, and we are monitoring it")
    assert resolved.subject.endswith(": a problem is resolved")
    for draft in (mitigated, resolved):
        assert "from about 2026-11-24 03:12 UTC to 2026-11-24 03:17 UTC" in draft.text
    assert "Next: this is the last message unless something new turns up" in resolved.text
    assert "What we are doing to prevent this in future: [say what, and by when]." in resolved.text


def test_an_incident_closed_while_it_fires_is_not_stated_to_have_stopped():
    text = external(EMPTY, command("resolve", only(EMPTY).incident_id))
    assert "closed by a person at 2026-11-24 03:13 UTC, [say whether it has stopped]" in text


@pytest.mark.parametrize("opened", [drift("filter_triggered", now=0.0, side="down"), drift("latency_ms", now=9_000.0)])
def test_a_share_is_stated_only_if_it_is_a_share_of_failures(opened):
    classified = command("classify", only(opened).incident_id, severity="P1")
    assert "[say which share of the requests]" in external(opened, classified)


def test_the_responders_are_named_as_far_as_known():
    incident_id = only(EMPTY).incident_id
    assert "Nobody has acknowledged it." in drafts(EMPTY)["internal"].text
    led = drafts(EMPTY, command("assign", incident_id, assignee="ben"))["internal"].text
    assert ("Led by ben." in led, "Nobody" in led) == (True, False)
    contained = drafts(EMPTY, command("mitigate", incident_id))["internal"].text
    assert "Somebody has looked at it, but nobody is leading it yet." in contained


# many subjects


def of_many(settings=NAMED, **fields):
    three = [failing(subject, after_s=index, **fields) for index, subject in enumerate(("a", "b", "c"))]
    classified = command("classify", the_parent(*three).incident_id, severity="P2")
    return {draft.audience: draft for draft in build_drafts(the_parent(*three, classified, settings=settings))}


def test_a_draft_for_many_subjects_names_the_products_and_not_what_they_share():
    names = CorrelateSettings(public_names={"a": "our assistant", "b": "our search"})
    draft = of_many(names)["external"]
    assert (
        "several of our AI systems failed at the same time: our assistant, our search and 1 more [name them]."
        in draft.text
    )
    assert draft.subject == "Our assistant, our search and 1 more [name them]: we are working on a problem"
    assert "[name the products]" in of_many()["external"].text
    for secret in ("openai", "rovider", "Environment"):
        assert secret not in draft.text + draft.subject


def test_a_draft_for_many_subjects_does_not_give_the_share_of_one():
    for draft in of_many().values():
        assert "[say which share of the requests, in each of them]" in draft.text
        assert "of the monitored requests" not in draft.text


def test_a_cause_that_many_subjects_share_is_our_responsibility():
    assert "a service behind them did not work as it should. We chose" in of_many()["external"].text
    inside = of_many(provider=None)["external"].text
    assert "Why: most likely something in our own systems that they share." in inside


def test_a_failed_feed_is_our_responsibility():
    weak = drift("retrieval_score", start=START - 30_000)
    wrong = drift("hallucinated", now=0.6)
    classified = command("classify", only(weak, wrong).incident_id, severity="P2")
    text = external(weak, wrong, classified)
    assert only(weak, wrong).suspects[0].kind == "retrieval"
    assert "the search behind it did not find the information that its answers are based on. We are responsible" in text


def test_duties_are_only_in_the_draft_to_leadership():
    both = drafts(EXPOSED, settings=CorrelateSettings(regimes=("gdpr",)))
    assert "To decide with counsel: whether there is a duty to notify (GDPR article 33" in both["internal"].text
    assert "GDPR" not in both["external"].text


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_every_failure_mode_has_an_impact_in_words_for_users(mode):
    assert describe_impact(mode).startswith(("has ", "may have "))
    assert "compromised" in describe_compromised_data(mode) or "may be" in describe_compromised_data(mode)
