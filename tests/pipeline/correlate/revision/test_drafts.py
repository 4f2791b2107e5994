"""Drafts: honest, specific, without blame, with what is done about it; and nothing that is not for those who read it."""

import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.revision.impact import describe_compromised_data, describe_impact
from pipeline.correlate.settings import CorrelateSettings
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
NAMED = CorrelateSettings(public_names={"support-bot": "our support assistant"})


PARAGRAPHS = """
DRAFT. Check every sentence, fill in what is in [brackets], and let a person send it.
What happened: Our support assistant, which is an AI system, may have shown personal data in its answers that should not \
have been there. We are sorry.
When, and how much: since about 2026-11-24 03:12 UTC, and it is not over; 9.1 % of the requests that were looked at, \
normally 1.0 %. [Say how many people.]
What it means for you: Personal data may be compromised: [say whose data and of which kind, whether anybody saw it who \
should not have, and what people should do; say so if it is not known yet].
Why: most likely a change that we made to it at 2026-11-24 03:11 UTC.
What we have done: [nothing is recorded: say what was switched off, rolled back or filtered, and when].
What we are doing: [say what is being done now, and what is changed so that it does not happen again].
Next: the next message comes by 2026-11-24 04:12 UTC. [Say where to ask.]
"""


def drafts(*contracts, settings=NAMED):
    return {draft.audience: draft for draft in only(*contracts, settings=settings).drafts}


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
def test_leadership_is_told_of_a_p3_and_users_of_a_p2_and_nobody_of_a_ticket(opened, audiences):
    assert list(drafts(opened)) == audiences


def test_a_draft_to_users_reads_like_this():
    draft = drafts(deployment(), EXPOSED)["external"]
    assert draft.subject == "Our support assistant: a problem, and we are working on it"
    assert draft.text.split("\n\n") == PARAGRAPHS.strip().split("\n")


def test_a_draft_to_leadership_names_what_is_needed_to_act():
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
def test_every_draft_is_marked_as_one_and_says_that_an_ai_system_did_it(audience):
    text = drafts(EXPOSED)[audience].text
    assert text.startswith("DRAFT. ")
    assert "an AI system" in text


def test_users_are_told_no_name_of_a_person_a_subject_a_tenant_a_version_or_a_supplier():
    down = deployment("d-9", kind="provider_status", subject=None, provider="acme-ai", to_version="degraded")
    tenant = EMPTY.model_copy(update={"segment": "tenant=secretcorp", "provider": "acme-ai"})
    said = command("classify", only(tenant).incident_id, severity="P1", note="as ben said")
    draft = drafts(down, deployment("d-8"), tenant, said)["external"]
    for secret in ("support-bot", "secretcorp", "acme", "v42", "ann", "ben", "degraded"):
        assert secret not in draft.text.replace("Say who", "")
        assert secret not in draft.subject
    assert "Not everybody met it: [say who did, if they may know]." in draft.text


def test_a_region_may_be_named_to_users():
    text = external(EMPTY.model_copy(update={"segment": "region=eu"}))
    assert "looked at, normally 0.2 % in eu." in text
    assert "Not everybody" not in text


def test_a_subject_without_a_public_name_is_called_by_its_own():
    assert "Support-bot, which is an AI system, has given empty answers." in external(
        EMPTY, settings=CorrelateSettings()
    )


def test_a_supplier_is_not_blamed():
    down = deployment("d-9", kind="provider_status", subject=None, provider="acme-ai")
    both = drafts(down, EMPTY.model_copy(update={"provider": "acme-ai"}))
    assert "We chose it and integrate it: it is ours to put right." in both["external"].text
    assert "We chose it and integrate it: it is ours to answer for." in both["internal"].text


def test_a_cause_that_is_not_known_is_said_to_be_unknown():
    assert "we do not know the cause yet" in external(EMPTY)
    assert "Cause: not known yet." in drafts(EMPTY)["internal"].text


def test_a_rollback_is_told_as_what_was_done():
    back = deployment("d-43", before_s=-120, from_version="v42", to_version="v41")
    text = external(deployment(), EXPOSED, back, tick(START + 3 * MINUTE))
    assert "What we have done: we took a change back at 2026-11-24 03:14 UTC. [Say what else was done.]" in text


def test_signals_that_are_back_are_told_with_their_end_and_a_resolution_ends_the_messages():
    back = later(EMPTY, 300)
    mitigated, resolved = drafts(EMPTY, back)["external"], drafts(EMPTY, back, tick(START + 60 * MINUTE))["external"]
    assert mitigated.subject.endswith(": a problem has stopped, and we are watching it")
    assert resolved.subject.endswith(": a problem is resolved")
    for draft in (mitigated, resolved):
        assert "from about 2026-11-24 03:12 UTC to 2026-11-24 03:17 UTC" in draft.text
    assert "Next: this is the last message unless something new turns up" in resolved.text
    assert "so that it does not happen again: [say what, and by when]." in resolved.text


def test_what_a_person_closes_while_it_still_fires_is_not_said_to_have_stopped():
    text = external(EMPTY, command("resolve", only(EMPTY).incident_id))
    assert "closed by a person at 2026-11-24 03:13 UTC, [say whether it has stopped]" in text


@pytest.mark.parametrize("opened", [drift("filter_triggered", now=0.0, side="down"), drift("latency_ms", now=9_000.0)])
def test_a_share_is_told_only_where_the_number_is_one_of_what_went_wrong(opened):
    said = command("classify", only(opened).incident_id, severity="P1")
    assert "[say which share of the requests]" in external(opened, said)


def test_who_is_on_it_is_said_as_far_as_it_is_known():
    incident_id = only(EMPTY).incident_id
    assert "Nobody has acknowledged it." in drafts(EMPTY)["internal"].text
    led = drafts(EMPTY, command("assign", incident_id, assignee="ben"))["internal"].text
    assert ("Led by ben." in led, "Nobody" in led) == (True, False)
    contained = drafts(EMPTY, command("mitigate", incident_id))["internal"].text
    assert "Somebody has looked at it, and nobody leads it yet." in contained


# one of many


def of_many(settings=NAMED, **fields):
    three = [failing(subject, after_s=place, **fields) for place, subject in enumerate(("a", "b", "c"))]
    said = command("classify", the_parent(*three).incident_id, severity="P2")
    return {draft.audience: draft for draft in the_parent(*three, said, settings=settings).drafts}


def test_of_many_the_products_are_named_and_never_what_they_share():
    names = CorrelateSettings(public_names={"a": "our assistant", "b": "our search"})
    draft = of_many(names)["external"]
    assert (
        "these AI systems of ours failed at the same time: our assistant, our search and 1 more [name them]."
        in draft.text
    )
    assert draft.subject == "Our assistant, our search and 1 more [name them]: a problem, and we are working on it"
    assert "[name the products]" in of_many()["external"].text
    for secret in ("openai", "rovider", "Environment"):
        assert secret not in draft.text + draft.subject


def test_of_many_the_share_of_one_is_not_told_as_that_of_all():
    for draft in of_many().values():
        assert "[say which share of the requests, in each of them]" in draft.text
        assert "of the requests that were looked at" not in draft.text


def test_what_many_share_is_ours_to_answer_for():
    assert "a service behind them did not work as it should. We chose it" in of_many()["external"].text
    inside = of_many(provider=None)["external"].text
    assert "Why: most likely something that they share in our own systems." in inside


def test_what_feeds_the_answers_is_told_as_ours_to_keep_working():
    weak = drift("retrieval_score", start=START - 30_000)
    wrong = drift("hallucinated", now=0.6)
    said = command("classify", only(weak, wrong).incident_id, severity="P2")
    text = external(weak, wrong, said)
    assert only(weak, wrong).suspects[0].kind == "retrieval"
    assert "the search behind it did not find the information that it answers from. That is ours to keep" in text


def test_duties_are_to_be_decided_and_only_leadership_is_told_of_them():
    both = drafts(EXPOSED, settings=CorrelateSettings(regimes=("gdpr",)))
    assert "To decide, with counsel: whether there is a duty to notify (GDPR article 33" in both["internal"].text
    assert "GDPR" not in both["external"].text


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_every_failure_mode_can_be_told_to_users(mode):
    assert describe_impact(mode).startswith(("has ", "may have "))
    assert "compromised" in describe_compromised_data(mode) or "may be" in describe_compromised_data(mode)
