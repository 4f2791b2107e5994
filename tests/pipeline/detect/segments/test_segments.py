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
    """Labels of each row, drawn by their shares."""
    return np.random.default_rng(seed).choice(list(shares), rows, p=list(shares.values())).tolist()


def parts(world, *, size=128, per_s=50.0, **segments):
    """Blocks with segments; ``prompt`` and ``model`` are versions."""
    for number, part in enumerate(blocks(world, per_s=per_s, size=size)):
        rows = slice(number * size, number * size + len(part.panes))
        own = {name: labels[rows] for name, labels in segments.items() if any(labels[rows])}
        versions = {name: labels for name, labels in own.items() if name in ("prompt", "model")}
        yield replace(part, segments=own, versions=versions)


def judged(judge, world, **segments):
    return [finding for part in parts(world, **segments) for finding in judge.observe(part)]


def fired(findings):
    return [each for each in findings if each.state == "firing"]


def refusing(world, rows, rate, seed=9):
    world["refused"][rows] = np.random.default_rng(seed).random(np.count_nonzero(rows)) < rate


def tenants_of(seed=3, rows=ROWS):
    return mix(seed, rows, acme=0.5, bolt=0.3, core=0.2)


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_world_in_which_nothing_happens_is_silent_in_every_segment(baseline, seed):
    world = normal_world(seed, 40_000)
    prompts = ["v1"] * 20_000 + mix(seed, 20_000, v1=0.9, v2=0.1)
    judge = Monitor(baseline, REPLAY)
    assert judged(judge, world, prompt=prompts, tenant=tenants_of(seed, 40_000)) == []
    assert judge.excluded_tests() == []


def test_a_new_version_that_is_bad_pages_with_its_name_and_the_old_one_does_not(baseline):
    world = normal_world(5, ROWS)
    prompts = ["v41"] * BAD_FROM + mix(5, ROWS - BAD_FROM, v41=0.8, v42=0.2)
    refusing(world, np.array(prompts) == "v42", 0.2)
    findings = judged(Monitor(baseline, REPLAY), world, prompt=prompts)
    page = next(each for each in fired(findings) if each.segment)
    assert (page.segment, page.tier, page.signal.name) == ("prompt=v42", "page", "refused")
    assert {each.segment for each in fired(findings)} <= {"", "prompt=v42"}
    assert START_MS + BAD_FROM * 20 <= page.started_at <= START_MS + BAD_FROM * 20 + 10_000
    assert page.detected_at < START_MS + BAD_FROM * 20 + 60_000
    assert page.now == pytest.approx(0.2, abs=0.08)
    assert "refused in prompt=v42 rose" in page.sentence
    whole = [each for each in findings if not each.segment and each.state == "evidence"]
    assert whole
    assert all("all in prompt=v42" in each.sentence for each in whole)


def test_a_value_that_moved_is_told_in_its_own_unit(baseline):
    world = normal_world(5, ROWS)
    prompts = ["v41"] * BAD_FROM + mix(5, ROWS - BAD_FROM, v41=0.5, v42=0.5)
    world["latency_ms"][np.array(prompts) == "v42"] *= 3
    findings = fired(judged(Monitor(baseline, REPLAY), world, prompt=prompts))
    page = next(each for each in findings if each.segment and each.channel == "location")
    assert page.now / page.normal == pytest.approx(3, rel=0.4)
    assert page.effect_kind == "rank_shift"


def test_a_tenant_with_a_normal_of_its_own_is_set_aside_and_said_nothing_of(baseline):
    world, tenants = normal_world(6, ROWS), tenants_of()
    own = np.array(tenants) == "core"
    world["latency_ms"][own] *= 1.6
    judge = Monitor(baseline, REPLAY)
    assert [each for each in judged(judge, world, tenant=tenants) if each.segment] == []
    assert judge.excluded_tests() == [("tenant", "core", ("latency_ms", "location", "up"))]


def test_a_version_that_was_always_different_is_set_aside_too(baseline):
    world, models = normal_world(6, ROWS), mix(6, ROWS, small=0.9, large=0.1)
    world["latency_ms"][np.array(models) == "large"] *= 2
    judge = Monitor(baseline, REPLAY)
    assert [each for each in judged(judge, world, model=models) if each.segment] == []
    assert ("model", "large", ("latency_ms", "location", "up")) in judge.excluded_tests()


def test_a_tenant_that_breaks_is_a_ticket_and_never_a_page(baseline):
    world, tenants = normal_world(7, ROWS), tenants_of()
    broken = (np.array(tenants) == "core") & (np.arange(ROWS) >= BAD_FROM)
    world["confidence"][broken] *= 0.6
    settings = REPLAY.model_copy(update={"ticket_rank_shift": 0.4, "page_rank_shift": 0.2})
    judge = Monitor(baseline, settings)
    findings = judged(judge, world, tenant=tenants)
    assert {(each.segment, each.tier, each.signal.name, each.channel) for each in fired(findings) if each.segment} == {
        ("tenant=core", "ticket", "confidence", "location")
    }
    assert judge.excluded_tests() == []


def test_even_a_young_tenant_that_was_well_at_first_is_no_normal_of_its_own(baseline):
    world, tenants = normal_world(7, 3000), tenants_of(rows=3000)
    refusing(world, (np.array(tenants) == "core") & (np.arange(3000) >= 2000), 0.5)
    judge = Monitor(baseline, REPLAY)
    found = fired(judged(judge, world, tenant=tenants))
    assert "refused" in {each.signal.name for each in found}
    assert judge.excluded_tests() == []


def test_what_the_whole_subject_fired_for_is_not_said_again_of_tenants_but_of_versions(baseline):
    world, tenants, prompts = normal_world(8, ROWS), tenants_of(), mix(8, ROWS, v1=0.6, v2=0.4)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.1)
    findings = judged(Monitor(baseline, REPLAY), world, tenant=tenants, prompt=prompts)
    assert {each.segment for each in fired(findings)} == {"", "prompt=v1", "prompt=v2"}
    last = [each for each in findings if not each.segment and each.state == "evidence"][-1]
    assert "in every tenant and in every prompt" in last.sentence


@pytest.mark.parametrize(("factor", "seed"), [(1.18, 30), (1.22, 34), (1.3, 38), (1.3, 39)])
def test_where_many_tenants_carry_a_little_each_no_one_is_named(baseline, factor, seed):
    world, tenants = normal_world(seed, ROWS), [f"t{row % 25}" for row in range(ROWS)]
    world["latency_ms"] *= factor
    found = fired(judged(Monitor(baseline, REPLAY), world, tenant=tenants))
    assert any(not each.segment for each in found)
    assert not any("all in" in each.sentence for each in found)


def test_a_tenant_that_stays_bad_when_the_rest_has_recovered_is_said_then(baseline):
    rows = 40_000
    world, tenants = normal_world(8, rows), mix(3, rows, acme=0.96, core=0.04)
    whole = (np.arange(rows) >= BAD_FROM) & (np.arange(rows) < 13_000)
    refusing(world, whole, 0.3)
    refusing(world, (np.array(tenants) == "core") & (np.arange(rows) >= 13_000), 0.3)
    settings = REPLAY.model_copy(update={"ticket_rate_odds": 9.0, "page_rate_odds": 3.0})
    findings = [each for each in judged(Monitor(baseline, settings), world, tenant=tenants) if each.state != "evidence"]
    assert [(each.segment, each.state) for each in findings if each.tier == "page"] == [
        ("", "firing"),
        ("", "recovered"),
    ]
    (tenant,) = [each for each in findings if each.segment]
    recovered = next(each for each in findings if each.state == "recovered" and each.tier == "page")
    assert (tenant.segment, tenant.tier, tenant.state) == ("tenant=core", "ticket", "firing")
    assert tenant.detected_at > recovered.updated_at


@pytest.mark.parametrize("seed", range(4))
def test_what_one_small_tenant_does_alone_is_its_ticket_and_no_page(baseline, seed):
    world, tenants = normal_world(seed, ROWS), mix(seed, ROWS, acme=0.6, bolt=0.36, core=0.04)
    core = np.array(tenants) == "core"
    world["error"][core & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    found = fired(judged(Monitor(baseline, REPLAY), world, tenant=tenants))
    assert {each.tier for each in found} == {"ticket"}
    assert all(each.segment == "tenant=core" or "all in tenant=core" in each.sentence for each in found)


def test_what_a_large_tenant_does_alone_pages(baseline):
    world, tenants = normal_world(6, ROWS), mix(6, ROWS, acme=0.6, bolt=0.36, core=0.04)
    world["error"][(np.array(tenants) == "bolt") & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    assert "page" in {each.tier for each in fired(judged(Monitor(baseline, REPLAY), world, tenant=tenants))}


def test_harm_by_one_small_tenant_pages(baseline):
    world = normal_world(1, 40_000) | {"pii_detected": (np.random.default_rng(1).random(40_000) < 0.001).astype(float)}
    harmful = learned(world, REPLAY)
    world, tenants = normal_world(6, ROWS), mix(6, ROWS, acme=0.6, bolt=0.36, core=0.04)
    world["pii_detected"] = (np.random.default_rng(6).random(ROWS) < 0.001).astype(float)
    world["pii_detected"][(np.array(tenants) == "core") & (np.arange(ROWS) >= BAD_FROM)] = 1.0
    assert "page" in {each.tier for each in fired(judged(Monitor(harmful, REPLAY), world, tenant=tenants))}


def test_a_small_tenant_does_not_hide_what_records_without_a_tenant_do(baseline):
    world, tenants = normal_world(7, ROWS), mix(7, ROWS, acme=0.5, bolt=0.26, core=0.04, nobody=0.2)
    rows = np.arange(ROWS)
    names = np.array(tenants)
    world["error"][(names == "core") & (rows >= BAD_FROM)] = 1.0
    world["error"][(names == "nobody") & (rows >= BAD_FROM + 4000)] = 1.0
    labels = [None if name == "nobody" else name for name in tenants]
    pages = [each for each in fired(judged(Monitor(baseline, REPLAY), world, tenant=labels)) if each.tier == "page"]
    assert 0 <= pages[0].detected_at - (START_MS + (BAD_FROM + 4000) * 20) < 20_000


def test_a_tenant_that_grew_is_small_no_more(baseline):
    world, tenants = normal_world(8, ROWS), mix(8, ROWS, acme=0.97, core=0.03)
    names = np.array(tenants)
    names[8000:] = np.random.default_rng(8).choice(["acme", "core"], ROWS - 8000, p=[0.4, 0.6])
    world["error"][(names == "core") & (np.arange(ROWS) >= BAD_FROM)] = (
        np.random.default_rng(9).random(np.count_nonzero((names == "core") & (np.arange(ROWS) >= BAD_FROM))) < 0.3
    )
    found = fired(judged(Monitor(baseline, REPLAY), world, tenant=names.tolist()))
    assert "page" in {each.tier for each in found}


def test_a_small_tenant_does_not_hide_what_all_do(baseline):
    world, tenants = normal_world(7, ROWS), mix(7, ROWS, acme=0.6, bolt=0.36, core=0.04)
    core, rows = np.array(tenants) == "core", np.arange(ROWS)
    world["error"][core & (rows >= BAD_FROM)] = 1.0
    world["error"][rows >= BAD_FROM + 4000] = np.random.default_rng(7).random(ROWS - BAD_FROM - 4000) < 0.2
    pages = [each for each in fired(judged(Monitor(baseline, REPLAY), world, tenant=tenants)) if each.tier == "page"]
    assert 0 <= pages[0].detected_at - (START_MS + (BAD_FROM + 4000) * 20) < 20_000


def test_a_bad_version_that_is_mended_recovers_and_one_that_is_gone_is_over(baseline):
    rows = 60_000
    healed, gone = normal_world(10, rows), normal_world(10, rows)
    prompts = ["v41"] * BAD_FROM + mix(5, rows - BAD_FROM, v41=0.8, v42=0.2)
    old = ["v41" if row >= 15_000 else prompt for row, prompt in enumerate(prompts)]
    bad = (np.array(prompts) == "v42") & (np.arange(rows) < 15_000)
    refusing(healed, bad, 0.2)
    refusing(gone, bad, 0.2)
    for world, labels, words in ((healed, prompts, "came back"), (gone, old, "no records of prompt=v42")):
        findings = [each for each in judged(Monitor(baseline, REPLAY), world, prompt=labels) if each.segment]
        assert [each.state for each in findings if each.state != "evidence"] == ["firing", "recovered"]
        assert words in findings[-1].sentence
        assert [each.sequence for each in findings] == list(range(len(findings)))
        assert len({(each.detected_at, each.request_id) for each in findings}) == 1


def test_a_night_in_which_one_tenant_is_alone_does_not_forget_what_was_set_aside(baseline):
    world, rows = normal_world(6, 60_000), np.arange(60_000)
    tenants = np.array(mix(3, 60_000, acme=0.7, core=0.3))
    tenants[(rows >= 10_000) & (rows < 40_000)] = "acme"
    world["latency_ms"][tenants == "core"] *= 1.6
    judge = Monitor(baseline, REPLAY)
    findings = judged(judge, world, per_s=5.0, tenant=tenants.tolist())
    assert [each for each in findings if each.segment] == []
    assert judge.excluded_tests() == [("tenant", "core", ("latency_ms", "location", "up"))]


def test_after_a_hole_in_the_records_no_version_is_gone_that_comes_back(baseline):
    world = normal_world(10, 8000)
    prompts = ["v41"] * 3000 + mix(5, 5000, v41=0.8, v42=0.2)
    refusing(world, np.array(prompts) == "v42", 0.3)
    hole_at = next(row for row in range(6000, 8000, 4) if prompts[row : row + 4] == ["v41"] * 4)
    judge, found = Monitor(baseline, REPLAY), []
    for number, part in enumerate(parts(world, size=4, prompt=prompts)):
        hole = 3600 if 4 * number >= hole_at else 0
        found += judge.observe(replace(part, panes=part.panes + hole, times_ms=part.times_ms + 1000 * hole))
    assert [each.state for each in found if each.segment and each.state != "evidence"] == ["firing"]


def test_one_value_alone_is_the_whole_subject(baseline):
    world = normal_world(11, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    judge = Monitor(baseline, REPLAY)
    findings = judged(judge, world, prompt=["v1"] * ROWS)
    assert findings
    assert not any(each.segment for each in findings)
    assert len(judge._segments.bank) == 0


def test_tenants_beyond_the_limit_are_not_judged_and_state_does_not_grow(baseline):
    settings = REPLAY.model_copy(update={"segment_values_max": 4})
    judge = Monitor(baseline, settings)
    tenants = [f"t{row % 500}" for row in range(ROWS)]
    assert judged(judge, normal_world(12, ROWS), tenant=tenants) == []
    assert len(judge._segments.bank) == 4
    assert judge._segments.dimensions["tenant"].others == ROWS - 4 * ROWS // 500


def test_state_put_down_and_taken_up_anywhere_changes_nothing(baseline):
    world, tenants = normal_world(13, 6000), mix(13, 6000, acme=0.5, bolt=0.5)
    prompts = ["v41"] * 2000 + mix(5, 4000, v41=0.6, v42=0.4)
    refusing(world, (np.array(prompts) == "v42") & (np.arange(6000) < 5000), 0.3)
    every = list(parts(world, prompt=prompts, tenant=tenants))
    whole = Monitor(baseline, REPLAY)
    expected = [whole.observe(part) for part in every]
    assert any(each.segment for found in expected for each in found)
    carried = Monitor(baseline, REPLAY)
    for number, part in enumerate(every):
        if number % 3 == 0:
            state, carried = carried.dump(), Monitor(baseline, REPLAY)
            carried.load(state)
        assert carried.observe(part) == expected[number]
    assert encode(carried.dump(), kind="judge", settings_hash="") == encode(
        whole.dump(), kind="judge", settings_hash=""
    )


def test_records_without_a_segment_belong_to_none(baseline):
    world = normal_world(14, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    prompts = ["v1" if row % 50 == 0 else "v2" if row % 50 == 1 else None for row in range(BAD_FROM)]
    findings = judged(Monitor(baseline, REPLAY), world, prompt=prompts + [None] * (ROWS - BAD_FROM))
    assert findings
    assert not any(each.segment for each in findings)


def test_a_drift_of_records_names_the_version_that_they_carry():
    rng = random.Random(4)
    settings = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=1000)
    step, messages = DetectStep(0, settings, replay=True), []
    for number in range(5000):
        version = "v42" if number >= 3500 and rng.random() < 0.3 else "v41"
        fields = record(rng, number, STREAM_START_MS + number * 50, refused=0.6 if version == "v42" else 0.01)
        fields |= {"versions": {"prompt": version}, "segment": {"tenant": rng.choice(["acme", "bolt"])}}
        messages.append(message(number, as_json(fields), STREAM_START_MS + number * 50))
    drifts = [Drift.from_json(each.value) for each in step.step(messages) if b'"type":"drift"' in each.value]
    pages = {(each.segment, each.signal) for each in drifts if each.tier == "page" and each.segment}
    assert pages == {("prompt=v42", "refused")}
    assert len({each.drift_id for each in drifts if each.state == "firing"}) == sum(
        each.state == "firing" for each in drifts
    )


def few(column, rows, name="empty"):
    world = {signal: values[:rows] for signal, values in normal_world(15, rows).items()}
    world[name] = column
    return world


def test_a_page_needs_twenty_records_of_one_user(baseline):
    rows = 100
    column = np.where(np.arange(rows) >= 50, 1.0, 0.0)
    findings = judged(Monitor(baseline, REPLAY), few(column, rows), size=1, per_s=0.5)
    (page,) = [each for each in fired(findings) if each.tier == "page"]
    assert page.records == 20
    assert page.started_at == START_MS + 50 * 2000


def test_two_tenants_that_show_it_are_enough_for_a_page(baseline):
    rows = 200
    column = np.where(np.arange(rows) >= 150, 1.0, 0.0)
    both = ["acme", "bolt"] * (rows // 2)
    one = ["acme"] * 150 + ["bolt"] * 50
    sizes = []
    for tenants in (both, one):
        judge = Monitor(baseline, REPLAY)
        found = fired(judged(judge, few(column, rows), size=1, per_s=0.5, tenant=tenants))
        sizes.append(next(each.records for each in found if each.tier == "page" and not each.segment))
    assert sizes[0] < 10
    assert sizes[1] == 20


def test_a_probe_pages_in_a_few_records(baseline):
    usual = learned({"probe_blocked": np.ones(20_000)}, REPLAY)
    found = fired(judged(Monitor(usual, REPLAY), {"probe_blocked": np.zeros(12)}, size=1, per_s=0.1))
    assert min(each.records for each in found if each.tier == "page") < 10


def test_a_version_that_was_rolled_back_is_over_a_minute_later_and_a_rare_one_after_ten(baseline):
    rows = 60_000
    for share, after_s in ((0.2, 60), (0.002, 600)):
        world = normal_world(14, rows)
        prompts = ["v41"] * BAD_FROM + mix(5, 10_000, v41=1 - share, v42=share) + ["v41"] * (rows - BAD_FROM - 10_000)
        refusing(world, np.array(prompts) == "v42", 1.0 if share < 0.1 else 0.3)
        last_ms = START_MS + 20 * max(row for row, prompt in enumerate(prompts) if prompt == "v42")
        found = [each for each in judged(Monitor(baseline, REPLAY), world, prompt=prompts) if each.segment]
        assert found[-1].state == "recovered"
        assert after_s <= (found[-1].updated_at - last_ms) / 1000 < after_s + 10


def test_of_a_version_that_serves_all_the_same_is_not_said_again(baseline):
    world = normal_world(15, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.1)
    prompts = ["v41"] * BAD_FROM + ["v42"] * (ROWS - BAD_FROM)
    findings = fired(judged(Monitor(baseline, REPLAY), world, prompt=prompts))
    assert [each.segment for each in findings if each.tier == "page"] == [""]
