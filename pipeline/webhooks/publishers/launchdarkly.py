"""LaunchDarkly flags: what a flag serves by default in an environment changes, or its targeting does.

The payload is an entry of the audit log, with the flag before and after. Its id is the identity of the change. A flag
serves its off variation, its default variation, or a percentage rollout. The deployment's versions are the variation
that loses most and the variation that gains most. Changes of the targeting alone have no versions.

Sources: https://launchdarkly.com/docs/api/webhooks, https://launchdarkly.com/docs/api/audit-log/get-audit-log-entry,
https://launchdarkly.com/docs/home/account/role-actions
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.subject_rule import is_subject
from pipeline.webhooks.publishers.changes import find_object, report_change, require_text
from pipeline.webhooks.request import WebhookRequest, WebhookResult
from pipeline.webhooks.settings import WebhookSettings
from schemas.deployment import read_text

SERVING_ACTIONS = frozenset(
    {
        *("copyFlagConfigTo", "deleteFlag", "updateFallthrough", "updateFallthroughWithMeasuredRollout"),
        *("updateFlagSalt", "updateFlagVariations", "updateGlobalArchived", "updateOffVariation", "updateOn"),
        *("updatePrerequisites", "updateRules", "updateRulesWithMeasuredRollout", "updateTargets"),
    }
)
"""Actions that can change which variation is served, even if the default variation stays the same."""

SERVING_WHILE_OFF = frozenset({"deleteFlag", "updateFlagVariations", "updateGlobalArchived"})
"""Those of these actions that matter for a flag that is off before and after, which ignores its targeting."""

WHOLE = 100_000
"""The weight of a variation that everybody gets, in thousandths of a percent."""

VALUE_LENGTH_MAX = 64
"""Maximum number of characters of a variation that is named by its value. A longer value can be a prompt."""

_RESOURCE = re.compile(r"proj/([^:;]+)(?:;[^:]*)?:env/([^:;]+)(?:;[^:]*)?:flag/([^:;]+)(?:;.*)?")
_SWITCHED = {"turned on the flag": ("off", "on"), "turned off the flag": ("on", "off")}


def read_launchdarkly(settings: WebhookSettings, request: WebhookRequest) -> WebhookResult:
    """Return the deployments of an entry of the audit log."""
    payload = request.payload
    if payload.get("kind") != "flag":
        return WebhookResult(ignored="the entry is not about a flag")
    flag = _find_flag(payload)
    environment = None if flag is None or flag[2] == "*" else flag[2]
    from_version, to_version = _find_move(payload, environment)
    actions = {str(access.get("action")) for access in _objects(payload.get("accesses"))}
    serving = SERVING_WHILE_OFF if _is_off(payload, environment) else SERVING_ACTIONS
    if to_version is None and not actions & serving:
        return WebhookResult(ignored="the entry does not change which variation a flag serves")
    member, verb = find_object(payload, "member"), payload.get("titleVerb")
    return report_change(
        settings,
        request,
        {
            "deployment_id": f"launchdarkly:{require_text(payload, '_id')}",
            "timestamp": payload.get("date"),
            "kind": "flag",
            "environment": environment,
            "name": require_text(payload, "name") if flag is None else flag[3],
            "from_version": from_version,
            "to_version": to_version,
            "summary": verb if isinstance(verb, str) else None,
            "author": member.get("email") or find_object(payload, "token").get("name"),
        },
    )


def _find_flag(payload: Mapping[str, Any]) -> re.Match[str] | None:
    """Return the match of the first resource that is a flag: its project, environment and key."""
    resources = find_object(payload, "target").get("resources")
    named = [
        *(resources if isinstance(resources, list) else ()),
        *(access.get("resource") for access in _objects(payload.get("accesses"))),
    ]
    return next((match for name in named if isinstance(name, str) and (match := _RESOURCE.fullmatch(name))), None)


def _is_off(payload: Mapping[str, Any], environment: str | None) -> bool:
    """Return whether a flag is off before and after."""
    versions = (find_object(payload, name) for name in ("previousVersion", "currentVersion"))
    return all(find_object(version, "environments", environment or "").get("on") is False for version in versions)


def _find_move(payload: Mapping[str, Any], environment: str | None) -> tuple[str | None, str | None]:
    """Return the variations that lose and gain most, or None for both if the shares are the same or unknown."""
    before = _find_shares(find_object(payload, "previousVersion"), environment)
    after = _find_shares(find_object(payload, "currentVersion"), environment)
    if before is None or after is None:
        return _SWITCHED.get(str(payload.get("titleVerb")), (None, None))
    gains = {name: after[name] - before[name] for name in sorted(before.keys() | after.keys())}
    loser, winner = min(gains, key=lambda name: gains[name]), max(gains, key=lambda name: gains[name])
    return (loser, winner) if gains[winner] > 0 > gains[loser] else (None, None)


def _find_shares(flag: Mapping[str, Any], environment: str | None) -> Counter[str] | None:
    """Return the share of each variation that a flag serves by default, or None if it is unknown."""
    state = find_object(flag, "environments", environment or "")
    if not isinstance(state.get("on"), bool):
        return None
    names = [_name_of(variation, index) for index, variation in enumerate(_objects(flag.get("variations")))]
    if not state["on"]:
        return _shares_of({"variation": state.get("offVariation")}, names)
    return _shares_of(find_object(state, "fallthrough"), names)


def _shares_of(served: Mapping[str, Any], names: list[str]) -> Counter[str]:
    rollout = _objects(find_object(served, "rollout").get("variations"))
    if not rollout:
        return Counter({_name_at(served.get("variation"), names): WHOLE})
    shares: Counter[str] = Counter()
    for part in rollout:
        weight = part.get("weight")
        shares[_name_at(part.get("variation"), names)] += weight if isinstance(weight, int) else 0
    return shares


def _name_at(index: Any, names: list[str]) -> str:
    """Return the name of a variation. Without a variation, the service uses its own default."""
    is_known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(names)
    return names[index] if is_known else "default"


def _name_of(variation: Mapping[str, Any], index: int) -> str:
    """Return the value of a variation if it is short and on one line, or else its name or number."""
    value, name = read_text(variation.get("value")), variation.get("name")
    if isinstance(value, str) and len(value) <= VALUE_LENGTH_MAX and is_subject(value):
        return value
    return name if isinstance(name, str) and name else f"variation {index}"


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
