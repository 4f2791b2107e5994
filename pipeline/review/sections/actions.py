"""Action items: specific, proposed from what the messages show, with owner and date to fill in."""

from collections.abc import Callable, Iterator

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, codes, escaped, table
from pipeline.review.material import Material
from pipeline.review.minutes import worst
from pipeline.review.sections.gap import LONG_GAP_S, only_tickets
from pipeline.review.sections.questions import RETRIEVAL, kill_switches
from pipeline.review.sections.response import missed
from pipeline.review.watched import unwatched, watch
from pipeline.wording import duration, quantity

ITEMS_MAX = 8
"""Items of a draft: more are not done."""

SIGNALS_MAX = 4
"""Signals that one item names."""

Item = tuple[str, str]
"""What to do, and because of what."""


def actions(material: Material) -> list[str]:
    """The lines of the section."""
    rows = [(str(number), what, why, "[owner]", "[date]") for number, (what, why) in enumerate(items(material), 1)]
    intro = "Proposed from what the messages show. Each needs an owner and a date, or a reason to leave it."
    if not rows:
        return [
            "Nothing in the messages proposes one. To be filled in: what would have prevented it, with owner and date."
        ]
    return [intro, "", *table(("", "action", "because", "owner", "due"), rows)]


def items(material: Material) -> list[Item]:
    """What to do and why, the most telling first, at most ``ITEMS_MAX``."""
    found = [item for propose in _PROPOSALS for item in propose(material)]
    return found[:ITEMS_MAX]


def _test(material: Material) -> Iterator[Item]:
    suspect, lead = clear_suspect(material.incident.suspects), material.lead
    if (
        suspect is None
        or suspect.deployment_id is None
        or lead is None
        or suspect.kind not in ("model", "prompt", "index")
    ):
        return
    state = worst(material.messages(lead.drift_id))
    far = f" ({quantity(state.now, lead.unit, lead.channel)}" if state else " ("
    far += f"{', ' if state else ''}normally {quantity(lead.normal, lead.unit, lead.channel)})"
    yield (
        f"Test every {suspect.kind} for {code(lead.signal)} before it serves, and let it serve a few requests first",
        f"{escaped(suspect.name)} leads the suspects, and {code(lead.signal)} was off{far}",
    )


def _sooner(material: Material) -> Iterator[Item]:
    incident, lead = material.incident, material.lead
    if incident.detection_gap_s <= LONG_GAP_S or lead is None:
        return
    missing = unwatched(lead.layer, material, mode=incident.failure_mode)[:SIGNALS_MAX]
    what = (
        f"Report {codes(missing)}, so that this failure is seen by more than {code(lead.signal)}"
        if missing
        else f"Find out why {code(lead.signal)} took so long, and report it for more of the requests"
    )
    yield what, f"{duration(incident.detection_gap_s)} passed from the start to the detection"


def _page(material: Material) -> Iterator[Item]:
    if only_tickets(material):
        named = codes(sorted({line.signal for line in material.incident.evidence})[:SIGNALS_MAX])
        yield (
            f"Decide whether {named} must page, or the daily check of tickets is enough",
            "all signals of the incident are of the ticket tier: nobody was paged",
        )


def _contain(material: Material) -> Iterator[Item]:
    if missed("contain", material):
        yield (
            f"Rehearse the rollback of {code(material.incident.subject)} until it fits into the target",
            "the target to contain was missed",
        )


def _declare(material: Material) -> Iterator[Item]:
    undeclared = next((each for each in material.incident.suspects if each.kind == "undeclared_change"), None)
    if undeclared is not None:
        yield (
            "Declare every deployment with `driftwire deployed`, from the pipeline that makes it",
            (f"{escaped(undeclared.name)} served, and no deployment told of it"),
        )


def _name_versions(material: Material) -> Iterator[Item]:
    suspect = clear_suspect(material.incident.suspects)
    deployment = material.deployment_of(suspect) if suspect else None
    if deployment is not None and None in (deployment.from_version, deployment.to_version):
        yield (
            f"Name the version before and after in every deployment of kind {deployment.kind}",
            f"{code(deployment.deployment_id)} does not: what it replaced cannot be brought back by name",
        )


def _switch(material: Material) -> Iterator[Item]:
    first = {step.action for each in material.revisions for step in each.containment}
    if "kill_switch" in first and material.incident.severity in ("P1", "P2") and not kill_switches(material):
        yield (
            f"Put {code(material.incident.subject)} behind a kill switch and rehearse it, or say why it was not used",
            "a kill switch was proposed, and no change of a flag is known",
        )


def _watch(material: Material) -> Iterator[Item]:
    mode = failure_modes.MODES.get(material.incident.failure_mode)
    missing = unwatched(mode.layer, material, mode=mode.name) if mode else []
    if missing and material.incident.detection_gap_s <= LONG_GAP_S:
        yield f"Report {codes(missing[:SIGNALS_MAX])}", "they show this failure mode too, and nothing watches them"
    blind = [signal for signal in RETRIEVAL[:2] if watch(signal, material) == "not reported"]
    if len(blind) == 2 and watch("index_age_s", material) in ("moved", "steady", "known"):
        yield f"Report {codes(blind)}", "the age of the index is watched, the quality of retrieval is not"


def _hold(material: Material) -> Iterator[Item]:
    others = [entry for entry in material.incident.log if entry.event == "deployment"]
    if others:
        yield (
            "Hold changes to a subject while an incident of it is open",
            (f"{len(others)} {'change' if len(others) == 1 else 'changes'} that took nothing back went live in it"),
        )


def _take(material: Material) -> Iterator[Item]:
    if material.logged("acknowledge") is None:
        yield "Check that it reached the person on call", "no command acknowledges it"


def _rules(material: Material) -> Iterator[Item]:
    incident = material.incident
    if incident.severity_rule == "classified_by_a_person":
        yield (
            f"See whether the severity rules should say {incident.severity} by themselves for this",
            f"a person classified it: {escaped(incident.severity_reason)}",
        )


def _confirm(material: Material) -> Iterator[Item]:
    if clear_suspect(material.incident.suspects) is None:
        yield "Find the cause, and declare what changed", "no suspect stands out: the cause is open"


_PROPOSALS: tuple[Callable[[Material], Iterator[Item]], ...] = (
    _sooner, _test, _confirm, _contain, _declare, _switch, _page, _take, _watch, _name_versions, _hold, _rules,
)  # fmt: skip
"""In order of how much they would have helped."""
