import random
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec import encode
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from schemas.drift import Drift
from tests.pipeline.detect.streams import START_MS as STREAM_START_MS
from tests.pipeline.detect.streams import as_json, message, record
from tests.pipeline.detect.worlds import START_MS, blocks, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)
ROWS = 20_000
BAD_FROM = 10_000


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


def mix(seed, rows, **shares):
    """A label for each row, drawn by their shares."""
    return np.random.default_rng(seed).choice(list(shares), rows, p=list(shares.values())).tolist()


def parts(world, *, size=128, per_s=50.0, start_ms=START_MS, **segments):
    """Blocks with segments; ``prompt`` and ``model`` are versions."""
    for number, part in enumerate(blocks(world, per_s=per_s, size=size, start_ms=start_ms)):
        rows = slice(number * size, number * size + len(part.panes))
        present = {name: labels[rows] for name, labels in segments.items() if any(labels[rows])}
        versions = {name: labels for name, labels in present.items() if name in ("prompt", "model")}
        yield replace(part, segments=present, versions=versions)


def observe_world(monitor, world, **segments):
    return [finding for part in parts(world, **segments) for finding in monitor.observe(part)]


def fired(findings):
    return [finding for finding in findings if finding.state == "firing"]


def refusing(world, rows, rate, seed=9):
    world["refused"][rows] = np.random.default_rng(seed).random(np.count_nonzero(rows)) < rate


def tenants_of(seed=3, rows=ROWS):
    return mix(seed, rows, acme=0.5, bolt=0.3, core=0.2)


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_normal_world_is_silent_in_every_segment(baseline, seed):
    world = normal_world(seed, 40_000)
    prompts = ["v1"] * 20_000 + mix(seed, 20_000, v1=0.9, v2=0.1)
    monitor = Monitor(baseline, REPLAY)
    assert observe_world(monitor, world, prompt=prompts, tenant=tenants_of(seed, 40_000)) == []
    assert monitor.segments.excluded_tests() == []


def test_a_bad_new_version_pages_with_its_name_and_the_old_one_does_not(baseline):
    world = normal_world(5, ROWS)
    prompts = ["v41"] * BAD_FROM + mix(5, ROWS - BAD_FROM, v41=0.8, v42=0.2)
    refusing(world, np.array(prompts) == "v42", 0.2)
    findings = observe_world(Monitor(baseline, REPLAY), world, prompt=prompts)
    page = next(finding for finding in fired(findings) if finding.segment)
    assert (page.segment, page.tier, page.signal.name) == ("prompt=v42", "page", "refused")
    assert {finding.segment for finding in fired(findings)} <= {"", "prompt=v42"}
    assert START_MS + BAD_FROM * 20 <= page.started_at <= START_MS + BAD_FROM * 20 + 10_000
    assert page.detected_at < START_MS + BAD_FROM * 20 + 60_000
    assert page.now == pytest.approx(0.2, abs=0.08)
    assert "refused in prompt=v42 rose" in page.sentence
    subject = [finding for finding in findings if not finding.segment and finding.state == "evidence"]
    assert subject
    assert all("all in prompt=v42" in finding.sentence for finding in subject)


def test_a_value_is_published_in_the_signals_unit(baseline):
    world = normal_world(5, ROWS)
    prompts = ["v41"] * BAD_FROM + mix(5, ROWS - BAD_FROM, v41=0.5, v42=0.5)
    world["latency_ms"][np.array(prompts) == "v42"] *= 3
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts))
    page = next(finding for finding in findings if finding.segment and finding.channel == "location")
    assert page.now / page.normal == pytest.approx(3, rel=0.4)
    assert page.effect_kind == "rank_shift"


@pytest.mark.parametrize(("days_later", "pages"), [(0, True), (4, False)], ids=["Tuesday", "Saturday"])
def test_on_an_unknown_kind_of_day_only_a_large_change_of_a_version_pages(baseline, days_later, pages):
    day_ms = 86_400_000
    monday = baseline.model_copy(update={"learned_from": START_MS - day_ms, "learned_to": START_MS})
    world = normal_world(5, ROWS)
    prompts = ["v41"] * BAD_FROM + mix(5, ROWS - BAD_FROM, v41=0.5, v42=0.5)
    world["latency_ms"][np.array(prompts) == "v42"] *= 1.6
    monitor = Monitor(monday, DetectSettings())
    found = observe_world(monitor, world, prompt=prompts, start_ms=START_MS + days_later * day_ms)
    assert ("prompt=v42" in {finding.segment for finding in fired(found)}) is pages
    # The test was reset when the day explained it, so it holds little evidence.
    test = monitor.segments.tests.indexes_by_key["latency_ms", "location", "up", "page"]
    assert monitor.segments.bank.test_statistics[:, :, test].max() < monitor.segments.tests[test].threshold


def test_a_tenant_that_always_deviated_is_excluded_and_publishes_nothing(baseline):
    world, tenants = normal_world(6, ROWS), tenants_of()
    world["latency_ms"][np.array(tenants) == "core"] *= 1.6
    monitor = Monitor(baseline, REPLAY)
    assert [finding for finding in observe_world(monitor, world, tenant=tenants) if finding.segment] == []
    assert monitor.segments.excluded_tests() == [("tenant", "core", ("latency_ms", "location", "up"))]


def test_a_version_that_was_always_different_is_excluded_too(baseline):
    world, models = normal_world(6, ROWS), mix(6, ROWS, small=0.9, large=0.1)
    world["latency_ms"][np.array(models) == "large"] *= 2
    monitor = Monitor(baseline, REPLAY)
    assert [finding for finding in observe_world(monitor, world, model=models) if finding.segment] == []
    assert ("model", "large", ("latency_ms", "location", "up")) in monitor.segments.excluded_tests()


def test_a_tenant_that_breaks_makes_a_ticket_and_never_a_page(baseline):
    world, tenants = normal_world(7, ROWS), tenants_of()
    broken = (np.array(tenants) == "core") & (np.arange(ROWS) >= BAD_FROM)
    world["confidence"][broken] *= 0.6
    settings = REPLAY.model_copy(update={"ticket_rank_shift": 0.4, "page_rank_shift": 0.2})
    monitor = Monitor(baseline, settings)
    findings = observe_world(monitor, world, tenant=tenants)
    assert {
        (finding.segment, finding.tier, finding.signal.name, finding.channel)
        for finding in fired(findings)
        if finding.segment
    } == {("tenant=core", "ticket", "confidence", "location")}
    assert monitor.segments.excluded_tests() == []


def test_a_young_tenant_that_was_normal_at_first_is_not_excluded(baseline):
    world, tenants = normal_world(7, 3000), tenants_of(rows=3000)
    refusing(world, (np.array(tenants) == "core") & (np.arange(3000) >= 2000), 0.5)
    monitor = Monitor(baseline, REPLAY)
    findings = fired(observe_world(monitor, world, tenant=tenants))
    assert "refused" in {finding.signal.name for finding in findings}
    assert monitor.segments.excluded_tests() == []


def test_a_drift_of_the_subject_is_repeated_for_versions_but_not_for_tenants(baseline):
    world, tenants, prompts = normal_world(8, ROWS), tenants_of(), mix(8, ROWS, v1=0.6, v2=0.4)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.1)
    findings = observe_world(Monitor(baseline, REPLAY), world, tenant=tenants, prompt=prompts)
    assert {finding.segment for finding in fired(findings)} == {"", "prompt=v1", "prompt=v2"}
    last = [finding for finding in findings if not finding.segment and finding.state == "evidence"][-1]
    assert "in every tenant and in every prompt" in last.sentence


@pytest.mark.parametrize(("factor", "seed"), [(1.18, 30), (1.22, 34), (1.3, 38), (1.3, 39)])
def test_no_tenant_is_named_where_many_deviate_a_little(baseline, factor, seed):
    world, tenants = normal_world(seed, ROWS), [f"t{row % 25}" for row in range(ROWS)]
    world["latency_ms"] *= factor
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, tenant=tenants))
    assert any(not finding.segment for finding in findings)
    assert not any("all in" in finding.sentence for finding in findings)


def test_a_tenant_that_stays_bad_when_the_subject_recovers_makes_a_ticket_then(baseline):
    rows = 40_000
    world, tenants = normal_world(8, rows), mix(3, rows, acme=0.96, core=0.04)
    refusing(world, (np.arange(rows) >= BAD_FROM) & (np.arange(rows) < 13_000), 0.3)
    refusing(world, (np.array(tenants) == "core") & (np.arange(rows) >= 13_000), 0.3)
    settings = REPLAY.model_copy(update={"ticket_rate_odds": 9.0, "page_rate_odds": 3.0})
    findings = [
        finding
        for finding in observe_world(Monitor(baseline, settings), world, tenant=tenants)
        if finding.state != "evidence"
    ]
    assert [(finding.segment, finding.state) for finding in findings if finding.tier == "page"] == [
        ("", "firing"),
        ("", "recovered"),
    ]
    (tenant,) = [finding for finding in findings if finding.segment]
    recovered = next(finding for finding in findings if finding.state == "recovered" and finding.tier == "page")
    assert (tenant.segment, tenant.tier, tenant.state) == ("tenant=core", "ticket", "firing")
    assert tenant.detected_at > recovered.updated_at


@pytest.mark.parametrize("seed", range(4))
def test_one_small_tenant_alone_makes_a_ticket_and_no_page(baseline, seed):
    world, tenants = normal_world(seed, ROWS), mix(seed, ROWS, acme=0.6, bolt=0.36, core=0.04)
    core = np.array(tenants) == "core"
    world["error"][core & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, tenant=tenants))
    assert {finding.tier for finding in findings} == {"ticket"}
    assert all(finding.segment == "tenant=core" or "all in tenant=core" in finding.sentence for finding in findings)


def test_a_large_tenant_alone_pages(baseline):
    world, tenants = normal_world(6, ROWS), mix(6, ROWS, acme=0.6, bolt=0.36, core=0.04)
    world["error"][(np.array(tenants) == "bolt") & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    assert "page" in {
        finding.tier for finding in fired(observe_world(Monitor(baseline, REPLAY), world, tenant=tenants))
    }


def test_a_safety_signal_of_one_small_tenant_pages(baseline):
    world = normal_world(1, 40_000) | {"pii_detected": (np.random.default_rng(1).random(40_000) < 0.001).astype(float)}
    harmful = learned(world, REPLAY)
    world, tenants = normal_world(6, ROWS), mix(6, ROWS, acme=0.6, bolt=0.36, core=0.04)
    world["pii_detected"] = (np.random.default_rng(6).random(ROWS) < 0.001).astype(float)
    world["pii_detected"][(np.array(tenants) == "core") & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    assert "page" in {finding.tier for finding in fired(observe_world(Monitor(harmful, REPLAY), world, tenant=tenants))}


def test_a_small_tenant_does_not_hide_a_failure_of_records_without_a_tenant(baseline):
    world, tenants = normal_world(7, ROWS), mix(7, ROWS, acme=0.5, bolt=0.26, core=0.04, nobody=0.2)
    rows = np.arange(ROWS)
    names = np.array(tenants)
    world["error"][(names == "core") & (rows >= BAD_FROM)] = 1.0
    world["error"][(names == "nobody") & (rows >= BAD_FROM + 4000)] = 1.0
    labels = [None if name == "nobody" else name for name in tenants]
    pages = [
        finding
        for finding in fired(observe_world(Monitor(baseline, REPLAY), world, tenant=labels))
        if finding.tier == "page"
    ]
    assert 0 <= pages[0].detected_at - (START_MS + (BAD_FROM + 4000) * 20) < 20_000


def test_a_tenant_that_has_grown_pages(baseline):
    world, tenants = normal_world(8, ROWS), mix(8, ROWS, acme=0.97, core=0.03)
    names = np.array(tenants)
    names[8000:] = np.random.default_rng(8).choice(["acme", "core"], ROWS - 8000, p=[0.4, 0.6])
    world["error"][(names == "core") & (np.arange(ROWS) >= BAD_FROM)] = (
        np.random.default_rng(9).random(np.count_nonzero((names == "core") & (np.arange(ROWS) >= BAD_FROM))) < 0.3
    )
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, tenant=names.tolist()))
    assert "page" in {finding.tier for finding in findings}


def test_a_small_tenant_does_not_hide_a_failure_of_all(baseline):
    world, tenants = normal_world(7, ROWS), mix(7, ROWS, acme=0.6, bolt=0.36, core=0.04)
    core, rows = np.array(tenants) == "core", np.arange(ROWS)
    world["error"][core & (rows >= BAD_FROM)] = 1.0
    world["error"][rows >= BAD_FROM + 4000] = np.random.default_rng(7).random(ROWS - BAD_FROM - 4000) < 0.2
    pages = [
        finding
        for finding in fired(observe_world(Monitor(baseline, REPLAY), world, tenant=tenants))
        if finding.tier == "page"
    ]
    assert 0 <= pages[0].detected_at - (START_MS + (BAD_FROM + 4000) * 20) < 20_000


def test_a_bad_version_recovers_when_it_is_fixed_or_gone(baseline):
    rows = 60_000
    fixed, gone = normal_world(10, rows), normal_world(10, rows)
    prompts = ["v41"] * BAD_FROM + mix(5, rows - BAD_FROM, v41=0.8, v42=0.2)
    old = ["v41" if row >= 15_000 else prompt for row, prompt in enumerate(prompts)]
    bad = (np.array(prompts) == "v42") & (np.arange(rows) < 15_000)
    refusing(fixed, bad, 0.2)
    refusing(gone, bad, 0.2)
    for world, labels, words in (
        (fixed, prompts, "returned to"),
        (gone, old, "records of prompt=v42 no longer arrive"),
    ):
        findings = [
            finding for finding in observe_world(Monitor(baseline, REPLAY), world, prompt=labels) if finding.segment
        ]
        assert [finding.state for finding in findings if finding.state != "evidence"] == ["firing", "recovered"]
        assert words in findings[-1].sentence
        assert [finding.sequence for finding in findings] == list(range(len(findings)))
        assert len({(finding.detected_at, finding.request_id) for finding in findings}) == 1


def test_exclusions_survive_a_night_with_one_tenant(baseline):
    world, rows = normal_world(6, 60_000), np.arange(60_000)
    tenants = np.array(mix(3, 60_000, acme=0.7, core=0.3))
    tenants[(rows >= 10_000) & (rows < 40_000)] = "acme"
    world["latency_ms"][tenants == "core"] *= 1.6
    monitor = Monitor(baseline, REPLAY)
    findings = observe_world(monitor, world, per_s=5.0, tenant=tenants.tolist())
    assert [finding for finding in findings if finding.segment] == []
    assert monitor.segments.excluded_tests() == [("tenant", "core", ("latency_ms", "location", "up"))]


@pytest.mark.slow
def test_a_gap_in_the_records_does_not_end_the_drift_of_a_version(baseline):
    world = normal_world(10, 8000)
    prompts = ["v41"] * 3000 + mix(5, 5000, v41=0.8, v42=0.2)
    refusing(world, np.array(prompts) == "v42", 0.3)
    gap_row = next(row for row in range(6000, 8000, 4) if prompts[row : row + 4] == ["v41"] * 4)
    monitor, findings = Monitor(baseline, REPLAY), []
    for number, part in enumerate(parts(world, size=4, prompt=prompts)):
        gap_s = 3600 if 4 * number >= gap_row else 0
        findings += monitor.observe(replace(part, panes=part.panes + gap_s, times_ms=part.times_ms + 1000 * gap_s))
    assert [finding.state for finding in findings if finding.segment and finding.state != "evidence"] == ["firing"]


def test_a_dimension_with_one_value_is_not_monitored(baseline):
    world = normal_world(11, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    monitor = Monitor(baseline, REPLAY)
    findings = observe_world(monitor, world, prompt=["v1"] * ROWS)
    assert findings
    assert not any(finding.segment for finding in findings)
    assert len(monitor.segments.bank) == 0


def test_tenants_beyond_the_limit_are_not_monitored_and_the_state_does_not_grow(baseline):
    settings = REPLAY.model_copy(update={"segment_values_max": 4})
    monitor = Monitor(baseline, settings)
    tenants = [f"t{row % 500}" for row in range(ROWS)]
    assert observe_world(monitor, normal_world(12, ROWS), tenant=tenants) == []
    assert len(monitor.segments.bank) == 4
    assert monitor.segments.dimensions["tenant"].other_records == ROWS - 4 * ROWS // 500


def test_a_state_restored_anywhere_changes_nothing(baseline):
    world, tenants = normal_world(13, 6000), mix(13, 6000, acme=0.5, bolt=0.5)
    prompts = ["v41"] * 2000 + mix(5, 4000, v41=0.6, v42=0.4)
    refusing(world, (np.array(prompts) == "v42") & (np.arange(6000) < 5000), 0.3)
    all_parts = list(parts(world, prompt=prompts, tenant=tenants))
    uninterrupted = Monitor(baseline, REPLAY)
    expected = [uninterrupted.observe(part) for part in all_parts]
    assert any(finding.segment for findings in expected for finding in findings)
    restored = Monitor(baseline, REPLAY)
    for number, part in enumerate(all_parts):
        if number % 3 == 0:
            state, restored = restored.dump(), Monitor(baseline, REPLAY)
            restored.load(state)
        assert restored.observe(part) == expected[number]
    states = [encode(monitor.dump(), kind="monitor") for monitor in (restored, uninterrupted)]
    assert states[0] == states[1]


def test_records_without_a_segment_belong_to_no_value(baseline):
    world = normal_world(14, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    prompts = ["v1" if row % 50 == 0 else "v2" if row % 50 == 1 else None for row in range(BAD_FROM)]
    findings = observe_world(Monitor(baseline, REPLAY), world, prompt=prompts + [None] * (ROWS - BAD_FROM))
    assert findings
    assert not any(finding.segment for finding in findings)


def test_a_drift_names_the_version_of_its_records():
    rng = random.Random(4)
    settings = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=1000)
    step, messages = DetectStep(0, settings, replay=True), []
    for number in range(5000):
        version = "v42" if number >= 3500 and rng.random() < 0.3 else "v41"
        fields = record(rng, number, STREAM_START_MS + number * 50, refused=0.6 if version == "v42" else 0.01)
        fields |= {"versions": {"prompt": version}, "segment": {"tenant": rng.choice(["acme", "bolt"])}}
        messages.append(message(number, as_json(fields), STREAM_START_MS + number * 50))
    drifts = [Drift.from_json(output.value) for output in step.step(messages) if b'"type":"drift"' in output.value]
    pages = {(drift.segment, drift.signal) for drift in drifts if drift.tier == "page" and drift.segment}
    assert pages == {("prompt=v42", "refused")}
    firing = [drift.drift_id for drift in drifts if drift.state == "firing"]
    assert len(set(firing)) == len(firing)


def short_world(column, rows, name="empty"):
    world = {signal: values[:rows] for signal, values in normal_world(15, rows).items()}
    world[name] = column
    return world


def test_a_page_needs_twenty_records(baseline):
    rows = 100
    column = np.where(np.arange(rows) >= 50, 1.0, 0.0)
    findings = observe_world(Monitor(baseline, REPLAY), short_world(column, rows), size=1, per_s=0.5)
    (page,) = [finding for finding in fired(findings) if finding.tier == "page"]
    assert page.records == 20
    assert page.started_at == START_MS + 50 * 2000


def test_two_affected_tenants_page_with_fewer_records(baseline):
    rows = 200
    column = np.where(np.arange(rows) >= 150, 1.0, 0.0)
    both = ["acme", "bolt"] * (rows // 2)
    one = ["acme"] * 150 + ["bolt"] * 50
    sizes = []
    for tenants in (both, one):
        monitor = Monitor(baseline, REPLAY)
        findings = fired(observe_world(monitor, short_world(column, rows), size=1, per_s=0.5, tenant=tenants))
        sizes.append(next(finding.records for finding in findings if finding.tier == "page" and not finding.segment))
    assert sizes[0] < 10
    assert sizes[1] == 20


def test_a_probe_pages_in_a_few_records(baseline):
    probed = learned({"probe_blocked": np.ones(20_000)}, REPLAY)
    findings = fired(observe_world(Monitor(probed, REPLAY), {"probe_blocked": np.zeros(12)}, size=1, per_s=0.1))
    assert min(finding.records for finding in findings if finding.tier == "page") < 10


@pytest.mark.slow
def test_the_drift_of_a_rolled_back_version_ends_after_one_minute_and_of_a_rare_one_after_ten(baseline):
    rows = 60_000
    for share, after_s in ((0.2, 60), (0.002, 600)):
        world = normal_world(14, rows)
        prompts = ["v41"] * BAD_FROM + mix(5, 10_000, v41=1 - share, v42=share) + ["v41"] * (rows - BAD_FROM - 10_000)
        refusing(world, np.array(prompts) == "v42", 1.0 if share < 0.1 else 0.3)
        last_ms = START_MS + 20 * max(row for row, prompt in enumerate(prompts) if prompt == "v42")
        findings = [
            finding for finding in observe_world(Monitor(baseline, REPLAY), world, prompt=prompts) if finding.segment
        ]
        assert findings[-1].state == "recovered"
        assert after_s <= (findings[-1].updated_at - last_ms) / 1000 < after_s + 10


def test_the_drift_of_the_subject_is_not_repeated_for_its_only_version(baseline):
    world = normal_world(15, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.1)
    prompts = ["v41"] * BAD_FROM + ["v42"] * (ROWS - BAD_FROM)
    findings = fired(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts))
    assert [finding.segment for finding in findings if finding.tier == "page"] == [""]
