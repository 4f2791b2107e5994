"""A late outcome takes the versions of its request, whatever the batches and restarts."""

import random

import numpy as np
import pytest

from pipeline.chunk_window import CHUNKS
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.blocks import outcome_labels
from pipeline.detect.blocks.outcome_labels import ACTIVE_PANES, OutcomeLabels

DIMENSIONS = ("prompt", "tenant")


def request(request_id, pane=0, **labels):
    return {"request_id": request_id, "infrastructure": {"latency_ms": 1}, "pane": pane} | labels


def outcome(request_id, pane=0, **labels):
    return {"request_id": request_id, "output": {"thumbs_down": True}, "pane": pane} | labels


def versions(**names):
    return {"versions": names}


def fill(labels, *objects):
    """Return the labels of each record, and the number of outcomes without a version."""
    records = RecordReader().read(objects)
    records.panes = np.array([fields["pane"] for fields in objects], dtype=np.int64)
    before = labels_of(records)
    filled, unversioned = labels.fill(records)
    assert labels_of(records) == before
    return labels_of(filled), unversioned


def labels_of(records):
    return [
        {name: column[row] for name, column in sorted(records.labels.items()) if column[row] is not None}
        for row in range(len(records))
    ]


def after_first_outcome(window=64):
    labels = OutcomeLabels(window, DIMENSIONS)
    fill(labels, outcome("x"))
    return labels


def test_an_outcome_takes_the_versions_and_the_monitored_segments_of_its_request():
    labels = after_first_outcome()
    sent = request("r-1", versions={"prompt": "v42", "flag:a": "on"}, segment={"tenant": "acme", "shard": "7"},
                   provider="p", provider_model="m", environment="e")  # fmt: skip
    fill(labels, sent)
    taken, unversioned = fill(labels, outcome("r-1"))
    assert taken == [{"segment.tenant": "acme", "versions.flag:a": "on", "versions.prompt": "v42"}]
    assert unversioned == 0


def test_an_outcome_keeps_the_versions_that_it_names():
    labels = after_first_outcome()
    fill(labels, request("r-1", **versions(prompt="v42", model="m1")))
    taken, _ = fill(labels, outcome("r-1", **versions(prompt="v7", evaluator="e1")))
    assert taken == [{"versions.evaluator": "e1", "versions.model": "m1", "versions.prompt": "v7"}]


def test_the_newest_earlier_request_with_any_label_wins():
    labels = after_first_outcome()
    objects = (
        request("trace", **versions(model="planner")),
        outcome("trace"),
        request("trace", **versions(model="answer")),
        request("trace"),
        outcome("trace"),
        request("trace", **versions(model="later")),
    )
    for batches in ([objects], [[one] for one in objects]):
        labels = after_first_outcome()
        taken = [taken for batch in batches for taken in fill(labels, *batch)[0]]
        assert (taken[1], taken[4]) == ({"versions.model": "planner"}, {"versions.model": "answer"})


def test_an_outcome_before_its_request_or_after_the_window_stays_without_versions_and_is_counted():
    labels = after_first_outcome(window=16)
    assert fill(labels, outcome("r-1"), request("r-1", **versions(prompt="v1")))[1] == 1
    assert fill(labels, outcome("r-1"))[1] == 0
    for number in range(16):
        fill(labels, request(f"other-{number}", **versions(prompt="v1")))
    taken, unversioned = fill(labels, outcome("r-1"), outcome("other-15"), outcome("never"))
    assert (taken, unversioned) == ([{}, {"versions.prompt": "v1"}, {}], 2)


def test_a_stream_without_late_outcomes_remembers_nothing():
    labels = OutcomeLabels(64, DIMENSIONS)
    fill(labels, *(request(f"r-{number}", **versions(prompt="v1")) for number in range(100)))
    assert list(labels.dump_changed()) == []
    assert fill(labels, outcome("r-99"))[1] == 1


def test_requests_are_remembered_until_a_day_after_the_newest_outcome():
    labels = OutcomeLabels(64, DIMENSIONS)
    last = ACTIVE_PANES - 1
    fill(labels, outcome("x"), request("day", last, **versions(a="1")), request("later", last + 1, **versions(a="1")))
    taken, _ = fill(labels, outcome("day", last + 9), outcome("later", last + 9))
    assert taken == [{"versions.a": "1"}, {}]


def test_a_window_of_0_remembers_nothing_and_counts():
    labels = after_first_outcome(window=0)
    assert fill(labels, request("r-1", **versions(a="1")), outcome("r-1"))[1] == 1
    assert list(labels.dump_changed()) == []


def test_a_request_costs_6_bytes():
    labels = after_first_outcome(window=4096)
    fill(labels, *(request(f"r-{number}", **versions(prompt=f"v{number % 3}")) for number in range(10_000)))
    chunks = labels._window.chunks
    assert sum(chunk.hashes.nbytes + chunk.codes.nbytes for chunk in chunks) <= 6 * 4096
    assert sum(len(chunk.combinations) for chunk in chunks) <= 3 * CHUNKS


def test_labels_that_are_different_in_every_request_are_limited():
    labels = after_first_outcome(window=65_536)
    objects = [request(f"r-{number}", segment={"tenant": f"{number:0200d}"}) for number in range(2000)]
    fill(labels, *objects)
    (chunk,) = labels._window.chunks
    assert outcome_labels.LABEL_CHARACTERS_MAX <= chunk.characters < outcome_labels.LABEL_CHARACTERS_MAX + 400
    taken, _ = fill(labels, outcome("r-0"), outcome("r-1999"))
    assert [bool(one) for one in taken] == [True, False]


class Reference:
    """The same rules, one record at a time."""

    def __init__(self, window, characters_max):
        self.size = -(-window // CHUNKS)
        self.characters_max = characters_max
        self.chunks = [([], {})]
        self.last = None

    def fill(self, fields):
        own = {f"versions.{name}": label for name, label in fields.get("versions", {}).items()}
        own |= {f"segment.{name}": label for name, label in fields.get("segment", {}).items()}
        if "infrastructure" in fields or fields.get("request_id") is None:
            is_active = self.last is not None and fields["pane"] - self.last < ACTIVE_PANES
            if is_active and fields.get("request_id") is not None:
                self.remember(fields["request_id"], {k: v for k, v in own.items() if k != "segment.other"})
            return own, 0
        self.last = fields["pane"]
        found = next(
            (kept for ids, _ in reversed(self.chunks) for name, kept in reversed(ids) if name == fields["request_id"]),
            {},
        )
        taken = found | own
        return taken, int(not any(name.startswith("versions.") for name in taken))

    def remember(self, request_id, labels):
        ids, known = self.chunks[-1]
        key = tuple(sorted(labels.items()))
        characters = sum(len(name) + len(label) for labels in known for name, label in labels)
        if not labels or (key not in known and characters >= self.characters_max):
            return
        known[key] = None
        ids.append((request_id, labels))
        if len(ids) == self.size:
            self.chunks = [*self.chunks, ([], {})][-CHUNKS:]


def random_objects(rng, count):
    pane, objects = 0, []
    for _ in range(count):
        pane += rng.choice((0, 0, 0, 1, 1, 5)) if rng.random() < 0.99 else ACTIVE_PANES - 3
        own = {}
        if rng.random() < 0.8:
            names = rng.sample(("prompt", "model", "flag"), rng.randrange(1, 4))
            own["versions"] = {name: f"v{rng.randrange(3)}" for name in names}
        if rng.random() < 0.3:
            own["segment"] = {rng.choice(("tenant", "other")): f"t{rng.randrange(9)}"}
        request_id = rng.choice((None, *(f"r-{rng.randrange(60)}" for _ in range(9))))
        if rng.random() < 0.3:
            own = own if rng.random() < 0.3 else {}
            objects.append(outcome(request_id, pane, **own))
        else:
            objects.append(request(request_id, pane, **own))
    return objects


@pytest.mark.parametrize("seed", range(20))
def test_batches_and_restores_do_not_change_the_labels(seed, monkeypatch):
    rng = random.Random(seed)
    window, characters_max = rng.choice((1, 8, 24, 64)), rng.choice((60, 200, 10_000))
    monkeypatch.setattr(outcome_labels, "LABEL_CHARACTERS_MAX", characters_max)
    objects = random_objects(rng, 600)
    reference = Reference(window, characters_max)
    expected = [reference.fill(fields) for fields in objects]
    labels, stored, found, unversioned, start = OutcomeLabels(window, DIMENSIONS), {}, [], 0, 0
    while start < len(objects):
        end = start + rng.choice((1, rng.randrange(1, 80)))
        taken, count = fill(labels, *objects[start:end])
        found, unversioned, start = found + taken, unversioned + count, end
        if rng.random() < 0.5:
            stored.update(labels.dump_changed())
            parts = [OutcomeLabels.read_chunk(chunk) for chunk in stored.values()]
            rng.shuffle(parts)
            last = labels.last_outcome_pane
            labels = OutcomeLabels(window, DIMENSIONS)
            labels.load(parts)
            labels.last_outcome_pane = last
    assert found == [taken for taken, _ in expected]
    assert unversioned == sum(count for _, count in expected)
    assert 0 < unversioned < 200
