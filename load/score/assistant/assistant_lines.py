"""Writer of the assistant's records as JSON lines. Every column becomes a list of texts that fill one template."""

from collections.abc import Iterable

import numpy as np

from load.json_texts import format_times, number_texts, quote_labels, rate_texts, to_json, version_texts
from load.world import RecordColumns, noise

EMBEDDING_SIZE, EMBEDDING_SPREAD = 16, 0.7

RATES = frozenset(
    {
        *("error", "empty", "refused", "thumbs_down", "hallucinated", "corrected", "clicked", "tool_error"),
        *("schema_valid", "filter_triggered", "policy_violation", "pii_detected", "jailbreak_suspected"),
        "custom.english",
    }
)
WHOLE = frozenset(
    {
        *("latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "queue_depth", "retries", "length"),
        *("tool_calls", "steps", "retrieved_documents", "index_age_s", "feature_age_s", "input_length"),
    }
)
"""Values that are whole numbers unless an event changes their unit."""

COST_DECIMALS, RATIO_DECIMALS = 7, 4

SECTIONS: dict[str, tuple[str, ...]] = {
    "infrastructure": (
        *("latency_ms", "time_to_first_token_ms", "error", "error_type", "input_tokens", "output_tokens"),
        *("queue_depth", "gpu_utilization", "cost", "retries"),
    ),
    "output": (
        *("length", "empty", "refused", "confidence", "similarity", "hallucinated", "thumbs_down", "corrected"),
        *("clicked", "fingerprint", "finish_reason", "tool_error", "tool_calls", "steps"),
    ),
    "data": (
        *("retrieval_score", "retrieved_documents", "index_age_s", "feature_age_s", "null_fraction", "schema_valid"),
        *("input_length", "schema_id", "context_fraction", "embedding"),
    ),
    "safety": ("filter_triggered", "policy_violation", "injection_score", "pii_detected", "jailbreak_suspected"),
}
"""Sections of a record and their fields, in order."""

_TEMPLATE = (
    '{"subject":"SUBJECT","request_id":%s,"timestamp":%s,"versions":%s,"environment":"production",'
    '"segment":{"region":%s,"tenant":%s},"provider":"example-ai","provider_model":%s,'
    + ",".join(
        f'"{section}":{{' + ",".join(f'"{name}":%s' for name in names) + "}" for section, names in SECTIONS.items()
    )
    + ',"custom":{"english":%s}}'
)


def write_lines(columns: RecordColumns, subject: str, embeddings: noise.Floats) -> list[bytes]:
    """Return one JSON object per record. Values that are NaN are null.

    Parameters
    ----------
    columns
        Records of the assistant. ``embedded`` tells which have an embedding.
    subject
        Subject of the records.
    embeddings
        Embeddings of the records that have one, in order, one per row.
    """
    count = columns.times_ms.size
    if not count:
        return []
    template = _TEMPLATE.replace("SUBJECT", subject)
    texts: list[Iterable[str]] = [
        [f'"a{columns.first_index:x}-{row}"' for row in range(count)],
        quote_labels(format_times(columns.times_ms)),
        version_texts(columns.versions),
        *(quote_labels(columns.labels[name]) for name in ("region", "tenant", "provider_model")),
    ]
    for names in SECTIONS.values():
        for name in names:
            if name == "embedding":
                texts.append(_embedding_texts(embeddings, columns.values["embedded"]))
            elif name in columns.labels:
                texts.append(quote_labels(columns.labels[name]))
            else:
                texts.append(_value_texts(name, columns.values[name]))
    texts.append(_value_texts("custom.english", columns.values["custom.english"]))
    return [(template % row).encode() for row in zip(*texts, strict=True)]


def draw_embeddings(columns: RecordColumns, seed: int, size: int, *, direction: int = 0) -> noise.Floats:
    """Draw embeddings of ``size`` numbers near one of several directions, one per record that is embedded."""
    random = np.random.default_rng((seed, columns.first_index, size))
    center = np.random.default_rng((EMBEDDING_SIZE, size, direction)).normal(size=size)
    shifts = EMBEDDING_SPREAD * random.normal(size=(int(columns.values["embedded"].sum()), size))
    return np.asarray(np.round(center + shifts, 4), dtype=np.float64)


def _embedding_texts(embeddings: noise.Floats, embedded: noise.Floats) -> list[str]:
    texts = ["null"] * embedded.size
    for row, embedding in zip(np.flatnonzero(embedded > 0).tolist(), embeddings.tolist(), strict=True):
        texts[row] = to_json(embedding)
    return texts


def _value_texts(name: str, column: noise.Floats) -> list[str]:
    if name in RATES:
        return rate_texts(column)
    texts = number_texts(np.round(column, COST_DECIMALS if name == "cost" else RATIO_DECIMALS))
    return [text.removesuffix(".0") for text in texts] if name in WHOLE else texts
