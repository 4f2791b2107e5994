import random
import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib import rc_context

from pipeline.review.picture.layout import CHARACTER_WIDTH, assign_rows
from pipeline.review.picture.marks import DEPLOYMENTS_MAX, LABEL_LENGTH_MAX, find_marks
from pipeline.review.picture.plot import PANELS_MAX, draw_picture
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift
from tests.pipeline.review.worlds import DEPLOYMENTS, drifts, revisions, with_changes, world

SPACE = "{http://www.w3.org/2000/svg}"


def picture(material=None):
    return ET.fromstring(draw_picture(material or world()))


def texts(material=None):
    return ["".join(element.itertext()) for element in picture(material).iter(f"{SPACE}text")]


@pytest.mark.slow
def test_the_same_material_gives_the_same_bytes():
    assert draw_picture(world()) == draw_picture(world(drifts=drifts()[::-1], revisions=revisions()[::-1]))


def test_matplotlib_settings_of_the_machine_change_nothing():
    before = draw_picture(world())
    with rc_context({"lines.linewidth": 9, "svg.fonttype": "path", "font.size": 30, "timezone": "Asia/Tokyo"}):
        assert draw_picture(world()) == before


def test_it_has_a_description_a_white_background_and_no_external_references():
    root = picture()
    assert root.get("role") == "img"
    assert root[0].tag == f"{SPACE}title"
    assert root[0].text == "Latency degradation in support-bot"
    assert root[1].tag == f"{SPACE}desc"
    assert root[1].text.startswith("refused, latency_ms over time, from before the start to 2026-11-24 03:28:00Z.")
    source = draw_picture(world()).decode()
    assert "fill: #ffffff" in source
    assert not re.search(r"<script|<!DOCTYPE|<image|@import|url\(http", source)
    references = re.findall(r'(?:href|src)="([^"]*)"', source)
    assert all(reference.startswith("#") for reference in references)


def test_every_signal_has_a_panel_with_the_normal_value_and_its_versions():
    shown = texts()
    assert "refused up: 10.0 %, normally 1.0 %" in shown
    assert "latency_ms up: 1,120 ms, normally 800 ms" in shown
    assert shown.count("normal") == 2
    assert shown.count("all records") == 2
    assert {"prompt=v41", "prompt=v42", "time, UTC", "80 %"} <= set(shown)


def test_events_are_marked_and_named():
    assert {
        "config (d-40), 03:03:00", "prompt v41 -> v42, 03:11:40", "started, 03:12:00", "detected, 03:12:05",
        "rollback: prompt v42 -> v41, 03:22:00", "recovered, 03:23:00", "resolved, 03:28:00",
    } <= set(texts())  # fmt: skip


def test_an_open_incident_has_no_end():
    shown = " ".join(texts(world(revisions=revisions(until=START + 4 * MINUTE))))
    assert "still open" in shown
    assert "resolved" not in shown
    assert "recovered" not in shown


def test_without_a_series_the_messages_are_drawn_and_without_messages_a_note():
    assert "since the start, as reported" in texts(world(drifts=drifts(by_minute=False)))
    assert texts(world(drifts=[])).count("the messages have no data per minute") == 2


def test_of_many_signals_the_first_four_have_a_panel_page_tier_first():
    line = revisions()[-1].evidence[0]
    many = [
        line.model_copy(update={"signal": name, "drift_id": name, "tier": tier, "detected_at": START + index})
        for index, (name, tier) in enumerate(
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
    panels = [text.split(" up: ")[0] for text in texts(with_changes({"evidence": many})) if " up: " in text]
    assert panels == ["error", "empty", "length", "gpu"]
    assert len(panels) == PANELS_MAX


def test_an_incident_without_evidence_has_a_picture_of_its_events():
    shown = texts(with_changes({"evidence": []}, drifts=[]))
    assert "started, 03:12:00" in shown


def test_a_silence_shows_records_per_minute():
    silent = drift("silence", channel="silence", detector="silence", series=drifts()[0].series[:1], drift_id="s")
    line = revisions()[-1].evidence[0].model_copy(update={"signal": "silence", "channel": "silence", "drift_id": "s"})
    shown = texts(with_changes({"evidence": [line]}, drifts=[silent]))
    assert "records per minute" in shown
    assert "normal" not in shown


@pytest.mark.parametrize("label", ["$x^2$", "<b>&amp;", "two\nlines", "\x00\x07\u202e", "部署 v2", "\ufffe", "x" * 200])
def test_labels_from_senders_are_text_in_the_picture(label):
    changed = [DEPLOYMENTS[1].model_copy(update={"from_version": "a", "to_version": label})]
    root = picture(with_changes({"title": label}, deployments=changed))
    shown = ["".join(element.itertext()) for element in root.iter(f"{SPACE}text")]
    assert any(text.startswith("prompt a -> ") for text in shown)
    assert all(len(text) <= 140 for text in shown)
    if label in ("$x^2$", "<b>&amp;", "部署 v2"):
        assert f"prompt a -> {label}, 03:11:40" in shown


def test_few_deployments_are_marked_rollbacks_and_suspects_first():
    noise = [deployment(f"n-{number}", before_s=300 + number, kind="other") for number in range(20)]
    marks = [
        mark
        for mark in find_marks(world(deployments=[*noise, *DEPLOYMENTS]))
        if mark.kind in ("deployment", "rollback")
    ]
    assert len(marks) == DEPLOYMENTS_MAX
    assert [mark.label for mark in marks][-2:] == [
        "prompt v41 -> v42, 03:11:40",
        "rollback: prompt v42 -> v41, 03:22:00",
    ]
    assert all(len(mark.label) <= LABEL_LENGTH_MAX + len(", 03:11:40") for mark in marks)


@pytest.mark.parametrize("seed", range(20))
def test_no_label_covers_another_or_its_line(seed):
    chance = random.Random(seed)
    labels = sorted((chance.random(), "x" * chance.randrange(3, 50)) for _ in range(10))
    rows = assign_rows(labels)
    for index, (left, text) in enumerate(labels):
        for later, (next_left, _) in enumerate(labels[index + 1 :], index + 1):
            assert rows[index] > rows[later] or next_left >= left + len(text) * CHARACTER_WIDTH
    assert min(rows) == 0
