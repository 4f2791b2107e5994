"""The failure modes: what can fail, what to do first about it, and which kinds of change cause it.

A signal of the catalogue names its failure mode, and a drift carries the name. The order of the rows matters: where
several modes of one incident are equally bad, the earlier row gives the incident its name, so causes stand before
symptoms. Adding one is one row here, one page in ``docs/runbooks`` and, if it is worse or milder than quality loss,
one rule in ``rules.toml``. A row whose drifts have modes of their own says in ``together`` which of them it is. The orders of containment follow the playbook: a kill switch first where harm is possible,
a rollback first where a change is the likely cause, throttling where load is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.deployment import DeploymentKind
from schemas.drift import Drift, Layer

Family = Literal["safety", "serving", "data", "output", "workload", "other"]
Action = Literal["kill_switch", "throttle", "rollback", "filter", "investigate"]
Cause = DeploymentKind | Literal["input_shift"]

DOWNSTREAM: Mapping[Family, tuple[Family, ...]] = {"serving": ("output",), "data": ("output",)}
"""What a failure of one family does to others a little later: broken serving or data spoils outputs."""

STRONG, POSSIBLE, WEAK = 1.0, 0.6, 0.2
"""How well a kind of change fits a failure mode: it is a usual cause, it can be one, it hardly ever is."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What moves together when a mode is at work, and what stands still.

    Each is the name of a failure mode, of a signal, of a signal with its side (``input_tokens up``), or the dimension of a
    segment (``of one provider``); in ``moved`` also the kind of the most likely cause. ``outside``: only where the cause may lie outside.
    """

    moved: tuple[str, ...]
    still: tuple[str, ...] = ()
    outside: bool = False


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One failure mode. ``contain`` is in the order to do it; ``strong`` and ``possible`` are kinds of cause."""

    name: str
    title: str
    layer: Layer
    family: Family
    contain: tuple[Action, ...]
    strong: tuple[Cause, ...]
    possible: tuple[Cause, ...] = ()
    together: tuple[Signature, ...] = ()

    @property
    def is_composed(self) -> bool:
        """Whether no signal names it: it is recognised from others alone.

        >>> MODES["provider_degradation"].is_composed, MODES["stale_index"].is_composed
        (True, False)
        """
        return bool(self.together) and not any(self.name in each.moved for each in self.together)

    @property
    def is_harmful(self) -> bool:
        """Whether it can harm people, and not only disappoint them: then switching off, or a filter, comes first.

        >>> MODES["pii_exposure"].is_harmful, MODES["filter_over_blocking"].is_harmful
        (True, False)
        """
        return self.family == "safety" and self.contain[0] != "rollback"

    def fit(self, kind: str) -> float:
        """How well a kind of change explains this mode: 1.0, 0.6 or 0.2.

        >>> MODES["refusal_spike"].fit("prompt"), MODES["refusal_spike"].fit("index")
        (1.0, 0.2)
        """
        if kind in self.strong:
            return STRONG
        return POSSIBLE if kind in self.possible else WEAK


_HARM: tuple[Action, ...] = ("kill_switch", "rollback", "filter", "investigate")
_ATTACK: tuple[Action, ...] = ("filter", "throttle", "kill_switch", "investigate")
_CHANGE: tuple[Action, ...] = ("rollback", "kill_switch", "investigate")
_LOAD: tuple[Action, ...] = ("rollback", "throttle", "kill_switch", "investigate")
_MILD: tuple[Action, ...] = ("rollback", "investigate")
_LOOK: tuple[Action, ...] = ("investigate",)
_OUTSIDE: tuple[Action, ...] = ("throttle", "kill_switch", "investigate")
_OUR_LOAD = ("queue_depth", "gpu_utilization", "cpu_utilization")

_ROWS: tuple[FailureMode, ...] = (
    # harm first
    FailureMode("pii_exposure", "Personal data in outputs", "safety", "safety", _HARM,
         ("prompt", "model", "index", "data"), ("flag", "config")),
    FailureMode("filter_disabled", "Safety filter not blocking", "safety", "safety", _HARM,
         ("config", "flag", "dependency"), ("model", "provider_status", "prompt")),
    FailureMode("policy_violations", "Policy violations", "safety", "safety", _HARM,
         ("prompt", "model"), ("config", "flag", "index", "input_shift", "provider_status")),
    FailureMode("jailbreak_wave", "Wave of jailbreak attempts", "safety", "safety", _ATTACK,
         ("input_shift",), ("prompt", "model", "config")),
    FailureMode("prompt_injection_wave", "Wave of prompt injection", "safety", "safety", _ATTACK,
         ("input_shift", "data", "index"), ("prompt", "config")),
    # the core does not work
    FailureMode("token_budget_exhaustion", "Token budget exhausted", "infrastructure", "serving", _LOAD,
         ("prompt", "index", "input_shift"), ("model", "config", "dependency", "data", "flag", "provider_status"),
         (Signature(("context_window_misuse", "input_tokens up")), Signature(("context_window_misuse", "length up")),
          Signature(("outage", "input_tokens up")))),
    FailureMode("provider_degradation", "Provider degraded", "infrastructure", "serving", _OUTSIDE,
         ("provider_status",), ("dependency", "config", "model"),
         (Signature(("outage", "latency_degradation"), still=_OUR_LOAD, outside=True),
          Signature(("outage", "provider_status")), Signature(("latency_degradation", "provider_status")),
          Signature(("outage", "of one provider")), Signature(("latency_degradation", "of one provider")))),
    FailureMode("outage", "Errors", "infrastructure", "serving", _LOAD,
         ("dependency", "config", "provider_status", "model"), ("flag", "prompt", "input_shift", "index", "data")),
    FailureMode("schema_change", "Inputs no longer fit their schema", "data", "data", _CHANGE,
         ("data", "dependency"), ("config", "flag"),
         (Signature(("schema_change", "null_values")),)),
    FailureMode("null_values", "Missing input values", "data", "data", _CHANGE,
         ("data",), ("dependency", "config", "flag")),
    FailureMode("stale_index", "Stale index", "data", "data", _CHANGE,
         ("index", "data"), ("config", "dependency", "flag"),
         (Signature(("stale_index", "retrieval_quality")),)),
    FailureMode("stale_features", "Stale features", "data", "data", _CHANGE,
         ("data", "dependency"), ("config", "flag")),
    FailureMode("retrieval_quality", "Retrieval quality loss", "data", "data", _CHANGE,
         ("index", "data"), ("model", "config", "dependency", "input_shift", "flag"),
         (Signature(("retrieval_quality", "hallucination_spike")),)),
    FailureMode("empty_output", "Empty outputs", "output", "output", _CHANGE,
         ("prompt", "model", "provider_status", "config"), ("dependency", "flag", "index"),
         (Signature(("empty_output", "identical_output")),)),
    FailureMode("identical_output", "Identical outputs", "output", "output", _CHANGE,
         ("model", "config", "data", "flag"), ("prompt", "dependency", "index")),
    FailureMode("silence", "Silence", "derived", "serving", _LOAD,
         ("config", "dependency", "provider_status"), ("flag", "model", "data", "prompt")),
    # users see worse quality
    FailureMode("latency_degradation", "Latency degradation", "infrastructure", "serving", _LOAD,
         ("dependency", "model", "config", "provider_status"), ("prompt", "input_shift", "index", "flag")),
    FailureMode("filter_over_blocking", "Safety filter over-blocking", "safety", "safety", _CHANGE,
         ("config", "flag", "model"), ("prompt", "dependency", "provider_status", "input_shift"),
         (Signature(("filter_over_blocking", "refusal_spike")),)),
    FailureMode("embedding_drift", "Embeddings differ", "data", "data", _CHANGE,
         ("index", "data", "model"), ("dependency", "config", "input_shift"),
         (Signature(("embedding_drift", "retrieval_quality")),)),
    FailureMode("context_window_misuse", "Answers cut off", "output", "output", _MILD,
         ("prompt", "model", "config"), ("input_shift", "provider_status", "flag")),
    FailureMode("throughput_loss", "Requests missing", "derived", "serving", _LOOK,
         ("config", "dependency", "flag"), ("provider_status", "input_shift")),
    FailureMode("hallucination_spike", "Hallucination spike", "output", "output", _CHANGE,
         ("model", "prompt", "index"), ("data", "config", "provider_status", "input_shift", "flag")),
    FailureMode("refusal_spike", "Refusal spike", "output", "output", _CHANGE,
         ("prompt", "model"), ("config", "flag", "provider_status", "input_shift")),
    FailureMode("semantic_drift", "Outputs mean something else", "output", "output", _CHANGE,
         ("model", "prompt"), ("index", "config", "provider_status", "input_shift", "flag")),
    FailureMode("confidence_drift", "Confidence drift", "output", "output", _MILD,
         ("model", "input_shift"), ("prompt", "data", "index", "config")),
    FailureMode("verbosity_drift", "Verbosity drift", "output", "output", _MILD,
         ("prompt", "model"), ("config", "input_shift", "provider_status")),
    FailureMode("negative_feedback", "Negative feedback", "output", "output", _CHANGE,
         ("prompt", "model"), ("index", "data", "flag", "config", "input_shift")),
    FailureMode("engagement_drop", "Engagement drop", "output", "output", _CHANGE,
         ("model", "flag"), ("data", "prompt", "index", "config", "input_shift")),
    # what explains rather than fails
    FailureMode("undeclared_change", "Change that nobody declared", "derived", "workload", _LOOK,
         ("model", "provider_status", "dependency")),
    FailureMode("input_shift", "Inputs shifted", "derived", "workload", _LOOK, ("data", "input_shift"), ("flag",)),
    FailureMode("custom_signal", "Custom signal moved", "custom", "other", _MILD,
         ("prompt", "model"), ("index", "flag", "dependency", "config", "data", "provider_status", "input_shift")),
    FailureMode("unknown", "Unnamed failure", "derived", "other", _MILD,
         ("prompt", "model"), ("index", "flag", "dependency", "config", "data", "provider_status", "input_shift")),
)  # fmt: skip

MODES: Mapping[str, FailureMode] = {mode.name: mode for mode in _ROWS}

_RANK: Mapping[str, int] = {mode.name: place for place, mode in enumerate(_ROWS)}


def failure_mode_of(drift: Drift) -> FailureMode:
    """The failure mode of a drift.

    A filter that triggers less than it did is not over-blocking: it has stopped to block. A name that the table lacks,
    from a newer detect, is ``unknown``.
    """
    if drift.failure_mode == "filter_over_blocking" and drift.side == "down":
        return MODES["filter_disabled"]
    return MODES.get(drift.failure_mode, MODES["unknown"])


def naming_rank(mode: FailureMode) -> int:
    """The place of a mode in the table: the smallest names the incident.

    >>> rank(MODES["stale_index"]) < rank(MODES["retrieval_quality"])
    True
    """
    return _RANK[mode.name]
