import random
import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib import rc_context

from pipeline.review.picture.layout import CHARACTER, levels
from pipeline.review.picture.marks import DEPLOYMENTS_MAX, LABEL_LENGTH_MAX, marks
from pipeline.review.picture.plot import PANELS_MAX, plot
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift
from tests.pipeline.review.worlds import DEPLOYMENTS, drifts, revisions, with_changes, world

SPACE = "{http://www.w3.org/2000/svg}"


def picture(given=None):
    return ET.fromstring(plot(given or world()))


def texts(given=None):
    return ["".join(each.itertext()) for each in picture(given).iter(f"{SPACE}text")]


def test_the_same_material_gives_the_same_bytes():
    assert plot(world()) == plot(world(drifts=drifts()[::-1], revisions=revisions()[::-1]))


def test_what_the_machine_says_of_pictures_changes_nothing():
    before = plot(world())
    with rc_context({"lines.linewidth": 9, "svg.fonttype": "path", "font.size": 30, "timezone": "Asia/Tokyo"}):
        assert plot(world()) == before


def test_it_has_words_for_those_who_do_not_see_it_a_white_ground_and_nothing_from_elsewhere():
    root = picture()
    assert root.get("role") == "img"
    assert root[0].tag == f"{SPACE}title"
    assert root[0].text == "Latency degradation in support-bot"
    assert root[1].tag == f"{SPACE}desc"
    assert root[1].text.startswith("refused, latency_ms over time, from before the start to 2026-11-24 03:28:00Z.")
    source = plot(world()).decode()
    assert "fill: #ffffff" in source
    assert not re.search(r"<script|<!DOCTYPE|<image|@import|url\(http", source)
    references = re.findall(r'(?:href|src)="([^"]*)"', source)
    assert all(each.startswith("#") for each in references)


def test_each_signal_has_a_panel_with_what_is_normal_and_its_versions():
    said = texts()
    assert "refused up: 10.0 %, normally 1.0 %" in said
    assert "latency_ms up: 1,120 ms, normally 800 ms" in said
    assert said.count("normal") == 2
    assert said.count("all records") == 2
    assert {"prompt=v41", "prompt=v42", "time, UTC", "80 %"} <= set(said)


def test_what_happened_is_marked_and_named():
    assert {
        "config (d-40), 03:03:00", "prompt v41 -> v42, 03:11:40", "began, 03:12:00", "detected, 03:12:05",
        "rollback: prompt v42 -> v41, 03:22:00", "signals back, 03:23:00", "resolved, 03:28:00",
    } <= set(texts())  # fmt: skip


def test_an_open_incident_has_no_end():
    said = " ".join(texts(world(revisions=revisions(until=START + 4 * MINUTE))))
    assert "still open" in said
    assert "resolved" not in said
    assert "signals back" not in said


def test_without_a_series_the_messages_are_shown_and_without_messages_that_is_said():
    assert "since the start, as reported" in texts(world(drifts=drifts(by_minute=False)))
    assert texts(world(drifts=[])).count("nothing of it by minute is left in the messages") == 2


def test_of_many_signals_four_have_a_panel_those_of_the_page_tier_first():
    line = revisions()[-1].evidence[0]
    many = [
        line.model_copy(update={"signal": name, "drift_id": name, "tier": tier, "detected_at": START + place})
        for place, (name, tier) in enumerate(
            [
                ("gpu", "ticket"),
                ("error", "page"),
                ("empty", "page"),
                ("error", "page"),
                ("length", "page"),
                ("cpu", "ticket"),
            ]
        )
    ]
    panels = [each.split(" up: ")[0] for each in texts(with_changes({"evidence": many})) if " up: " in each]
    assert panels == ["error", "empty", "length", "gpu"]
    assert len(panels) == PANELS_MAX


def test_an_incident_without_evidence_has_a_picture_of_what_happened():
    said = texts(with_changes({"evidence": []}, drifts=[]))
    assert "began, 03:12:00" in said


def test_a_silence_is_shown_by_its_records():
    silent = drift("silence", channel="silence", detector="silence", series=drifts()[0].series[:1], drift_id="s")
    line = revisions()[-1].evidence[0].model_copy(update={"signal": "silence", "channel": "silence", "drift_id": "s"})
    said = texts(with_changes({"evidence": [line]}, drifts=[silent]))
    assert "records a minute" in said
    assert "normal" not in said


@pytest.mark.parametrize("label", ["$x^2$", "<b>&amp;", "two\nlines", "\x00\x07\u202e", "部署 v2", "\ufffe", "x" * 200])
def test_whatever_a_sender_wrote_is_text_in_the_picture_too(label):
    mine = [each.model_copy(update={"from_version": "a", "to_version": label}) for each in DEPLOYMENTS[1:2]]
    root = picture(with_changes({"title": label}, deployments=mine))
    said = ["".join(each.itertext()) for each in root.iter(f"{SPACE}text")]
    assert any(each.startswith("prompt a -> ") for each in said)
    assert all(len(each) <= 140 for each in said)
    if label in ("$x^2$", "<b>&amp;", "部署 v2"):
        assert f"prompt a -> {label}, 03:11:40" in said


def test_the_marked_deployments_are_few_rollbacks_and_suspects_first():
    noise = [deployment(f"n-{number}", before_s=300 + number, kind="other") for number in range(20)]
    found = [
        mark for mark in marks(world(deployments=[*noise, *DEPLOYMENTS])) if mark.kind in ("deployment", "rollback")
    ]
    assert len(found) == DEPLOYMENTS_MAX
    assert [mark.label for mark in found][-2:] == [
        "prompt v41 -> v42, 03:11:40",
        "rollback: prompt v42 -> v41, 03:22:00",
    ]
    assert all(len(mark.label) <= LABEL_LENGTH_MAX + len(", 03:11:40") for mark in found)


@pytest.mark.parametrize("seed", range(20))
def test_no_label_lies_on_another_nor_on_the_line_of_another(seed):
    world_of_labels = random.Random(seed)
    labels = sorted((world_of_labels.random(), "x" * world_of_labels.randrange(3, 50)) for _ in range(10))
    rows = levels(labels)
    for place, (begins, text) in enumerate(labels):
        for later, (next_begins, _) in enumerate(labels[place + 1 :], place + 1):
            assert rows[place] > rows[later] or next_begins >= begins + len(text) * CHARACTER
    assert min(rows) == 0
