"""The failure modes, with their containment and the kinds of change that cause them.

Each signal of the catalogue has a failure mode, and a drift contains its name. The order of the rows matters. If
several modes of one incident are equally bad, the incident is named after the earlier row, so causes come before
symptoms. The signatures of a row are combinations of drifts that identify this mode, even if each drift has a different
mode. Containment follows the playbook: a kill switch first where harm is possible, a rollback first where a change is
the likely cause, throttling first where load is the cause.

To add a failure mode, add one row here, one page in ``docs/runbooks`` and, if the mode is more or less severe than a
loss of quality, one rule in ``rules.toml``.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.deployment import DeploymentKind
from schemas.drift import Drift, Layer

Family = Literal["safety", "serving", "data", "output", "workload", "other"]
ContainmentAction = Literal["kill_switch", "throttle", "rollback", "filter", "investigate"]
ChangeKind = DeploymentKind | Literal["input_shift"]

DOWNSTREAM: Mapping[Family, tuple[Family, ...]] = {"serving": ("output",), "data": ("output",)}
"""Families of failures that usually follow another family: broken serving or data degrades outputs."""

STRONG, POSSIBLE, WEAK = 1.0, 0.6, 0.2
"""Fit of a kind of change to a failure mode: usual cause, possible cause, rare cause."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The drifts that identify a failure mode: signals that move, and signals that stay steady.

    Parameters
    ----------
    moving
        All of these must have moved. Each is the name of a failure mode or signal, a signal with its direction
        (``input_tokens up``), the dimension of a segment (``of one provider``), or the kind of the most likely cause.
    steady
        None of these may have moved.
    external
        Applies only if the cause may be external.
    """

    moving: tuple[str, ...]
    steady: tuple[str, ...] = ()
    external: bool = False

    def matches(self, lead: Collection[str], moved: Collection[str], *, may_be_external: bool) -> bool:
        """Return whether this signature matches the names of the lead drift and of all signals and modes that moved."""
        return (
            any(name in lead for name in self.moving)
            and all(name in moved for name in self.moving)
            and not any(name in moved for name in self.steady)
            and (may_be_external or not self.external)
        )


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One failure mode. ``containment`` is in order of execution."""

    name: str
    title: str
    layer: Layer
    family: Family
    containment: tuple[ContainmentAction, ...]
    usual_causes: tuple[ChangeKind, ...]
    possible_causes: tuple[ChangeKind, ...] = ()
    signatures: tuple[Signature, ...] = ()

    @property
    def is_composed(self) -> bool:
        """Whether the mode is recognised only from several drifts, because no signal has this mode.

        >>> MODES["provider_degradation"].is_composed, MODES["stale_index"].is_composed
        (True, False)
        """
        return bool(self.signatures) and not any(self.name in signature.moving for signature in self.signatures)

    @property
    def is_harmful(self) -> bool:
        """Whether the mode can harm people, not only disappoint them. If so, a kill switch or a filter comes first.

        >>> MODES["pii_exposure"].is_harmful, MODES["filter_over_blocking"].is_harmful
        (True, False)
        """
        return self.family == "safety" and self.containment[0] != "rollback"

    def fit(self, kind: str) -> float:
        """Return the fit of a kind of change to this mode: 1.0, 0.6 or 0.2.

        >>> MODES["refusal_spike"].fit("prompt"), MODES["refusal_spike"].fit("index")
        (1.0, 0.2)
        """
        if kind in self.usual_causes:
            return STRONG
        return POSSIBLE if kind in self.possible_causes else WEAK


_HARM: tuple[ContainmentAction, ...] = ("kill_switch", "rollback", "filter", "investigate")
_ATTACK: tuple[ContainmentAction, ...] = ("filter", "throttle", "kill_switch", "investigate")
_CHANGE: tuple[ContainmentAction, ...] = ("rollback", "kill_switch", "investigate")
_LOAD: tuple[ContainmentAction, ...] = ("rollback", "throttle", "kill_switch", "investigate")
_MILD: tuple[ContainmentAction, ...] = ("rollback", "investigate")
_INVESTIGATE: tuple[ContainmentAction, ...] = ("investigate",)
_EXTERNAL: tuple[ContainmentAction, ...] = ("throttle", "kill_switch", "investigate")
_OWN_LOAD = ("queue_depth", "gpu_utilization", "cpu_utilization")

_ROWS: tuple[FailureMode, ...] = (
    # harm first
    FailureMode("pii_exposure", "Personal data in outputs", "safety", "safety", _HARM,
         ("prompt", "model", "index", "data"), ("flag", "config", "code")),
    FailureMode("filter_disabled", "Safety filter not blocking", "safety", "safety", _HARM,
         ("config", "flag", "dependency", "code"), ("model", "provider_status", "prompt")),
    FailureMode("policy_violations", "Policy violations", "safety", "safety", _HARM,
         ("prompt", "model"), ("config", "flag", "index", "input_shift", "provider_status", "code")),
    FailureMode("jailbreak_wave", "Wave of jailbreak attempts", "safety", "safety", _ATTACK,
         ("input_shift",), ("prompt", "model", "config")),
    FailureMode("prompt_injection_wave", "Wave of prompt injection attempts", "safety", "safety", _ATTACK,
         ("input_shift", "data", "index"), ("prompt", "config", "code")),
    # the core of the product does not work
    FailureMode("token_budget_exhaustion", "Token budget exhausted", "infrastructure", "serving", _LOAD,
         ("prompt", "index", "input_shift"), ("model", "config", "dependency", "data", "flag", "provider_status", "code"),
         (Signature(("context_window_misuse", "finish_reason_usual", "input_tokens up")),
          Signature(("context_window_misuse", "finish_reason_usual", "length up")),
          Signature(("context_window_misuse", "finish_reason_new", "input_tokens up")),
          Signature(("context_window_misuse", "finish_reason_new", "length up")),
          Signature(("outage", "input_tokens up")))),
    FailureMode("provider_degradation", "Provider degraded", "infrastructure", "serving", _EXTERNAL,
         ("provider_status",), ("dependency", "config", "model", "code"),
         (Signature(("outage", "latency_degradation"), steady=_OWN_LOAD, external=True),
          Signature(("outage", "provider_status")), Signature(("latency_degradation", "provider_status")),
          Signature(("outage", "of one provider")), Signature(("latency_degradation", "of one provider")))),
    FailureMode("outage", "Errors", "infrastructure", "serving", _LOAD,
         ("dependency", "config", "provider_status", "model", "code"), ("flag", "prompt", "input_shift", "index", "data")),
    FailureMode("schema_change", "Inputs no longer match their schema", "data", "data", _CHANGE,
         ("data", "dependency", "code"), ("config", "flag"),
         (Signature(("schema_change", "null_values")),)),
    FailureMode("null_values", "Missing input values", "data", "data", _CHANGE,
         ("data",), ("dependency", "config", "flag", "code")),
    FailureMode("stale_index", "Stale index", "data", "data", _CHANGE,
         ("index", "data"), ("config", "dependency", "flag", "code"),
         (Signature(("stale_index", "retrieval_quality")),)),
    FailureMode("stale_features", "Stale features", "data", "data", _CHANGE,
         ("data", "dependency"), ("config", "flag", "code")),
    FailureMode("retrieval_quality", "Retrieval quality loss", "data", "data", _CHANGE,
         ("index", "data"), ("model", "config", "dependency", "input_shift", "flag", "code"),
         (Signature(("retrieval_quality", "hallucination_spike")),)),
    FailureMode("tool_failures", "Tool failures", "output", "serving", _CHANGE,
         ("dependency", "config", "code"), ("prompt", "model", "flag", "data", "provider_status"),
         (Signature(("tool_failures", "agent_loop")),)),
    FailureMode("empty_output", "Empty outputs", "output", "output", _CHANGE,
         ("prompt", "model", "provider_status", "config", "code"), ("dependency", "flag", "index"),
         (Signature(("empty_output", "identical_output")),)),
    FailureMode("identical_output", "Identical outputs", "output", "output", _CHANGE,
         ("model", "config", "data", "flag", "code"), ("prompt", "dependency", "index")),
    FailureMode("silence", "Silence", "derived", "serving", _LOAD,
         ("config", "dependency", "provider_status", "code"), ("flag", "model", "data", "prompt")),
    # users see worse quality
    FailureMode("agent_loop", "Agent loop", "output", "output", _LOAD,
         ("prompt", "model", "code"), ("dependency", "config", "flag", "index", "data", "input_shift"),
         (Signature(("agent_loop", "latency_degradation")), Signature(("agent_loop", "cost_increase")))),
    FailureMode("retry_storm", "Retry storm", "infrastructure", "serving", _LOAD,
         ("provider_status", "dependency", "config", "code"), ("model", "flag", "input_shift"),
         (Signature(("retry_storm", "latency_degradation")), Signature(("retry_storm", "cost_increase")))),
    FailureMode("latency_degradation", "Latency degradation", "infrastructure", "serving", _LOAD,
         ("dependency", "model", "config", "provider_status", "code"), ("prompt", "input_shift", "index", "flag")),
    FailureMode("filter_over_blocking", "Safety filter over-blocking", "safety", "safety", _CHANGE,
         ("config", "flag", "model"), ("prompt", "dependency", "provider_status", "input_shift", "code"),
         (Signature(("filter_over_blocking", "refusal_spike")),)),
    FailureMode("embedding_drift", "Embedding drift", "data", "data", _CHANGE,
         ("index", "data", "model"), ("dependency", "config", "input_shift", "code"),
         (Signature(("embedding_drift", "retrieval_quality")),)),
    FailureMode("context_window_misuse", "Context window misuse", "output", "output", _MILD,
         ("prompt", "model", "config"), ("input_shift", "provider_status", "flag", "code")),
    FailureMode("throughput_loss", "Throughput loss", "derived", "serving", _INVESTIGATE,
         ("config", "dependency", "flag", "code"), ("provider_status", "input_shift")),
    FailureMode("hallucination_spike", "Hallucination spike", "output", "output", _CHANGE,
         ("model", "prompt", "index"), ("data", "config", "provider_status", "input_shift", "flag", "code")),
    FailureMode("refusal_spike", "Refusal spike", "output", "output", _CHANGE,
         ("prompt", "model"), ("config", "flag", "provider_status", "input_shift", "code"),
         # A refusal often has a finish reason of its own, such as content_filter.
         (Signature(("refusal_spike", "finish_reason_usual")), Signature(("refusal_spike", "finish_reason_new")))),
    FailureMode("semantic_drift", "Semantic drift", "output", "output", _CHANGE,
         ("model", "prompt"), ("index", "config", "provider_status", "input_shift", "flag", "code")),
    FailureMode("confidence_drift", "Confidence drift", "output", "output", _MILD,
         ("model", "input_shift"), ("prompt", "data", "index", "config", "code")),
    FailureMode("verbosity_drift", "Verbosity drift", "output", "output", _MILD,
         ("prompt", "model"), ("config", "input_shift", "provider_status", "code")),
    FailureMode("negative_feedback", "Negative feedback", "output", "output", _CHANGE,
         ("prompt", "model"), ("index", "data", "flag", "config", "input_shift", "code")),
    FailureMode("engagement_drop", "Engagement drop", "output", "output", _CHANGE,
         ("model", "flag", "code"), ("data", "prompt", "index", "config", "input_shift")),
    FailureMode("cost_increase", "Cost increase", "infrastructure", "other", _LOAD,
         ("model", "prompt", "config"), ("input_shift", "index", "code", "flag", "dependency", "provider_status")),
    FailureMode("unusable_records", "Records cannot be used", "data", "other", _MILD,
         ("config", "dependency", "code"), ("prompt", "model", "flag", "data")),
    # causes rather than failures
    FailureMode("undeclared_change", "Undeclared change", "derived", "workload", _INVESTIGATE,
         ("model", "provider_status", "dependency"), ("code",)),
    FailureMode("input_shift", "Input shift", "derived", "workload", _INVESTIGATE, ("data", "input_shift"), ("flag", "code")),
    FailureMode("custom_signal", "Custom signal drift", "custom", "other", _MILD,
         ("prompt", "model"), ("index", "flag", "dependency", "config", "data", "provider_status", "input_shift", "code")),
    FailureMode("unknown", "Unclassified failure", "derived", "other", _MILD,
         ("prompt", "model"), ("index", "flag", "dependency", "config", "data", "provider_status", "input_shift", "code")),
)  # fmt: skip

MODES: Mapping[str, FailureMode] = {mode.name: mode for mode in _ROWS}

_FALLING_MODES = {"filter_over_blocking": "filter_disabled", "agent_loop": "tool_failures"}
"""The mode of a drift downwards, for the modes of signals that mean another failure if they fall."""

_RANKS: Mapping[str, int] = {mode.name: rank for rank, mode in enumerate(_ROWS)}


def failure_mode_of(drift: Drift) -> FailureMode:
    """Return the failure mode of one drift.

    A filter that triggers less often than normal is not over-blocking, because it no longer blocks. An agent that makes
    fewer tool calls than normal does not loop, because it no longer uses its tools.
    """
    name = _FALLING_MODES.get(drift.failure_mode) if drift.side == "down" else None
    return find_mode(name or drift.failure_mode)


def find_mode(name: str) -> FailureMode:
    """Return the failure mode with a name. A name from a newer version that is not in the table is ``unknown``."""
    return MODES.get(name, MODES["unknown"])


def recognise_failure_mode(
    lead: Drift, drifts: Iterable[Drift], cause_kind: str | None, window_ms: float, *, may_be_external: bool
) -> FailureMode:
    """Return the failure mode of an incident, recognised from the drifts that moved together.

    Parameters
    ----------
    lead
        The drift that the incident is named after. It must be part of the signature.
    drifts
        All drifts of the incident, and the workload drifts of its subject.
    cause_kind
        The kind of the most likely cause, if one stands out. It can be part of a signature.
    window_ms
        Maximum time between the start of the lead and the start of another drift that counts as moving with it. Higher
        values recognise more signatures.
    may_be_external
        Whether the cause may be external: a provider serves the subject, and no change of your own explains the
        incident.

    Returns
    -------
    FailureMode
        The first mode of the table with a signature that matches; otherwise the mode of the lead.
    """
    near = (drift for drift in drifts if abs(drift.started_at - lead.started_at) <= window_ms)
    lead_names = _signature_names(lead)
    moved_names = {name for drift in near for name in _signature_names(drift)} | lead_names
    if cause_kind is not None:
        moved_names.add(cause_kind)
    for mode in MODES.values():
        if any(
            signature.matches(lead_names, moved_names, may_be_external=may_be_external) for signature in mode.signatures
        ):
            return mode
    return failure_mode_of(lead)


def naming_rank(mode: FailureMode) -> int:
    """Return the rank of a mode in the table. The incident is named after the mode with the smallest rank.

    >>> naming_rank(MODES["stale_index"]) < naming_rank(MODES["retrieval_quality"])
    True
    """
    return _RANKS[mode.name]


def _signature_names(drift: Drift) -> set[str]:
    names = {failure_mode_of(drift).name, drift.signal, f"{drift.signal} {drift.side}"}
    return names | {f"of one {drift.segment.partition('=')[0]}"} if drift.segment else names
