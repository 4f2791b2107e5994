"""Strategies for fuzzing: arbitrary bytes, arbitrary JSON, and valid messages with one or more changes."""

import copy
import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

fuzz_settings = settings(
    max_examples=int(os.environ.get("DRIFTWIRE_TEST_EXAMPLES", "60")),
    deadline=None,
    derandomize="DRIFTWIRE_TEST_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""A short fuzz with the same examples in every run. ``DRIFTWIRE_TEST_EXAMPLES`` sets the number of new examples."""

INTEGERS = [0, 1, -1, 7, 2**53 - 1, 2**53, 2**63, -(2**64), 10**24, 10**4000]
FLOATS = [0.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")]
TIMES = [
    *("1970-01-01T00:00:00Z", "1973-03-03T09:46:40Z", "2026-11-24T03:00:00Z", "2026-11-24T03:13:00Z"),
    *("2026-11-24T04:30:00Z", "2026-12-24T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-11-24T03:12:00+99:99"),
    *("0000-00-00T00:00:00Z", 99_999_999_999, 100_000_000_000, 253_402_300_799_999, 1_795_489_920, 1_795_489_920.5),
    "1795489920123",
]
TEXTS = [
    *("", " ", "a", "search", "provider:openai", "x" * 200, "x" * 201, "x" * 60_000, "\U0001f525" * 200),
    *("\ud83d", "\x00\x1b[2J\x9b31m", "\u202egpj.exe\u2066", "two\nlines", "=1+1", "$array", "drift", "other"),
    *("firing", "evidence", "recovered", "page", "ticket", "cause", "up", "down", "open", "merged", "P1", "P4"),
    *("prompt", "MODEL", "refused", "latency_ms", "silence", "first_seen", "rate", "location", "version=v42"),
]
OTHERS = [None, True, False, [], {}]
SCALARS = st.sampled_from([*INTEGERS, *FLOATS, *TIMES, *TEXTS, *OTHERS])
JSON = st.recursive(
    SCALARS | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def _positions(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(position for key, item in items for position in _positions(item, (*path, key)))]


def _similar(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same type, which a contract often accepts."""
    if isinstance(value, bool) or value is None:
        return st.sampled_from([True, False])
    if isinstance(value, str) and value[:2] in ("19", "20") and value.endswith("Z"):
        return st.sampled_from(TIMES)
    if isinstance(value, str):
        return st.sampled_from(TEXTS) | st.text(max_size=20)
    if isinstance(value, int):
        return st.sampled_from(INTEGERS)
    return st.sampled_from(FLOATS) | st.floats(0, 1) if isinstance(value, float) else JSON


@st.composite
def mutated(draw: st.DrawFn, contents: list[dict[str, Any]]) -> Any:
    """One of the messages, with up to three values replaced, removed or repeated."""
    content = copy.deepcopy(draw(st.sampled_from(contents)))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        # Choose a type first, because most values of a message are texts.
        positions: dict[type, list[tuple[Any, ...]]] = {}
        depth_max = draw(st.sampled_from([1, 1, 9]))
        for position, value in _positions(content):
            if 0 < len(position) <= depth_max:
                positions.setdefault(type(value), []).append(position)
        chosen = draw(st.sampled_from(sorted(positions, key=str))) if positions else None
        *path, last = draw(st.sampled_from(positions[chosen])) if chosen else ("new",)
        parent = content
        for key in path:
            parent = parent[key]
        match draw(st.sampled_from(["similar"] * 6 + ["any", "remove", "wrap"])):
            case "similar" if not isinstance(parent, dict) or last in parent:
                parent[last] = draw(_similar(parent[last]))
            case "remove" if isinstance(parent, dict):
                parent.pop(last, None)
            case "wrap" if isinstance(parent, dict):
                parent[last] = [parent.get(last)] * draw(st.integers(0, 3))
            case _:
                parent[last] = draw(JSON)
    return content


def encode(content: Any) -> bytes:
    """Write JSON as Python's json does: NaN, infinity and lone surrogates included."""
    return json.dumps(content).encode()


def messages(contents: list[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Mostly changed messages, but also arbitrary JSON, arbitrary bytes, and truncated messages."""
    changed = mutated(contents).map(encode)
    cut = st.tuples(changed, st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]])
    broken = st.one_of(JSON.map(encode), st.binary(max_size=60), cut)
    return st.sampled_from([changed] * 9 + [broken]).flatmap(lambda strategy: strategy)
