"""Action items: specific proposals from the messages. People fill in owner and date."""

from collections.abc import Callable, Iterator

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.playbook import failure_modes
from pipeline.review.markdown import code, code_list, escape, table
from pipeline.review.material import Material
from pipeline.review.sections.gap import LONG_GAP_S, has_only_tickets
from pipeline.review.sections.monitoring import monitoring_state, unmonitored_signals
from pipeline.review.sections.questions import RETRIEVAL, kill_switches
from pipeline.review.sections.response import has_missed
from pipeline.wording import duration, normal_phrase, quantity

ITEMS_MAX = 8
"""Maximum number of items in a draft, because longer lists are rarely completed."""

SIGNALS_MAX = 4
"""Maximum number of signals in an item."""

ActionItem = tuple[str, str]
"""Action and its reason."""


def write_actions(material: Material) -> list[str]:
    """Write the lines of the section."""
    items = [item for propose in _PROPOSALS for item in propose(material)][:ITEMS_MAX]
    if not items:
        return ["The messages suggest none. To be filled in: what would have prevented it, with owner and date."]
    rows = [(str(number), action, reason, "[owner]", "[date]") for number, (action, reason) in enumerate(items, 1)]
    intro = "Proposed from the messages. Each needs an owner and a date, or a reason to drop it."
    return [intro, "", *table(("", "action", "because", "owner", "due"), rows)]


def _test_before_deployment(material: Material) -> Iterator[ActionItem]:
    suspect, line = clear_suspect(material.incident.suspects), material.leading_signal
    if suspect is None or suspect.deployment_id is None or suspect.kind not in ("model", "prompt", "index"):
        return
    if line is None:
        return
    worst = material.history(line).worst
    reported = f"{quantity(worst.now, line.unit, line.channel)}, " if worst else ""
    normal = normal_phrase(line.normal, line.unit, line.channel)
    yield (
        f"Test every {suspect.kind} for {code(line.signal)} before it is deployed, and start it with a few requests",
        f"{escape(suspect.name)} is the leading suspect, and {code(line.signal)} was off ({reported}{normal})",
    )


def _detect_sooner(material: Material) -> Iterator[ActionItem]:
    incident, line = material.incident, material.leading_signal
    if incident.detection_gap_s <= LONG_GAP_S or line is None:
        return
    missing = unmonitored_signals(line.layer, material, mode=incident.failure_mode)[:SIGNALS_MAX]
    if missing:
        action = f"Report {code_list(missing)}, so that this failure is detected by more than {code(line.signal)}"
    else:
        action = f"Find out why {code(line.signal)} took so long, and report it for more requests"
    yield action, f"{duration(incident.detection_gap_s)} passed from the start to the detection"


def _review_tiers(material: Material) -> Iterator[ActionItem]:
    if has_only_tickets(material):
        signals = code_list(sorted({line.signal for line in material.incident.evidence})[:SIGNALS_MAX])
        yield (
            f"Decide whether {signals} must page, or whether the daily check of tickets is enough",
            "all signals of the incident are in the ticket tier, so nobody was paged",
        )


def _practise_rollback(material: Material) -> Iterator[ActionItem]:
    if has_missed("contain", material):
        yield (
            f"Practise the rollback of {code(material.incident.subject)} until it meets the target",
            "the containment target was missed",
        )


def _record_deployments(material: Material) -> Iterator[ActionItem]:
    undeclared = next((suspect for suspect in material.incident.suspects if suspect.kind == "undeclared_change"), None)
    if undeclared is not None:
        yield (
            "Record every deployment with `driftwire deployed`, in the pipeline that deploys it",
            f"{escape(undeclared.name)} served without a recorded deployment",
        )


def _name_versions(material: Material) -> Iterator[ActionItem]:
    suspect = clear_suspect(material.incident.suspects)
    deployment = material.find_deployment(suspect) if suspect else None
    if deployment is not None and None in (deployment.from_version, deployment.to_version):
        yield (
            f"Name both versions in every deployment of kind {deployment.kind}",
            f"{code(deployment.deployment_id)} does not, so a rollback by name is impossible",
        )


def _add_kill_switch(material: Material) -> Iterator[ActionItem]:
    proposed = {step.action for incident in material.revisions for step in incident.containment}
    if "kill_switch" in proposed and material.incident.severity in ("P1", "P2") and not kill_switches(material):
        yield (
            f"Put {code(material.incident.subject)} behind a kill switch and practise it, or record why it was not used",
            "a kill switch was proposed, and no change of a flag is known",
        )


def _report_signals(material: Material) -> Iterator[ActionItem]:
    mode = failure_modes.MODES.get(material.incident.failure_mode)
    missing = unmonitored_signals(mode.layer, material, mode=mode.name) if mode else []
    if missing and material.incident.detection_gap_s <= LONG_GAP_S:
        yield f"Report {code_list(missing[:SIGNALS_MAX])}", "they show this failure mode too, and are not monitored"
    quality = [signal for signal in RETRIEVAL[:2] if monitoring_state(signal, material) == "not reported"]
    if len(quality) == 2 and monitoring_state("index_age_s", material) in ("moved", "steady", "monitored"):
        yield f"Report {code_list(quality)}", "the age of the index is monitored, but the quality of retrieval is not"


def _freeze_changes(material: Material) -> Iterator[ActionItem]:
    others = material.other_changes
    if others:
        changes = "change that is not a rollback" if others == 1 else "changes that are not rollbacks"
        yield "Freeze other changes to a subject during its incidents", f"{others} {changes} went live during this one"


def _check_paging(material: Material) -> Iterator[ActionItem]:
    if material.first_logged_at("acknowledge") is None:
        yield "Check that it reached the person on call", "no command acknowledged it"


def _review_severity_rules(material: Material) -> Iterator[ActionItem]:
    incident = material.incident
    if incident.severity_rule == "classified_by_a_person":
        yield (
            f"Check whether the severity rules should result in {incident.severity} for this",
            f"a person classified it: {escape(incident.severity_reason)}",
        )


def _find_cause(material: Material) -> Iterator[ActionItem]:
    if clear_suspect(material.incident.suspects) is None:
        yield "Find the cause, and record what changed", "no suspect stands out"


_PROPOSALS: tuple[Callable[[Material], Iterator[ActionItem]], ...] = (
    _detect_sooner,
    _test_before_deployment,
    _find_cause,
    _practise_rollback,
    _record_deployments,
    _add_kill_switch,
    _review_tiers,
    _check_paging,
    _report_signals,
    _name_versions,
    _freeze_changes,
    _review_severity_rules,
)
"""The most helpful first."""
