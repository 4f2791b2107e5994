import numpy as np
import pytest

from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS
from pipeline.detect.signals.channels import bad_directions, channel_names, from_rank, mean_rises, signal_by_name, tiers
from tests.pipeline.detect.worlds import BY_NAME


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_every_signal_is_monitored_in_its_bad_direction_only(signal):
    directions = {direction for channel, direction in bad_directions(signal) if channel != "dispersion"}
    assert directions == ({"up", "down"} if signal.direction == "both" else {signal.direction})
    assert {channel for channel, _ in bad_directions(signal)} <= set(channel_names(signal.kind))
    assert all(tiers(signal, channel) for channel, _ in bad_directions(signal))


def test_a_category_has_no_bad_direction():
    assert [bad_directions(category) for category in CATEGORIES] == [[]] * len(CATEGORIES)


def test_a_cause_never_pages_or_tickets():
    for signal in SIGNALS:
        if signal.role == "cause":
            assert {tier for channel, _ in bad_directions(signal) for tier in tiers(signal, channel)} == {"cause"}


def test_identical_values_are_bad_for_outputs_but_not_for_infrastructure():
    assert ("dispersion", "down") in bad_directions(BY_NAME["length"])
    assert ("dispersion", "down") not in bad_directions(BY_NAME["latency_ms"])
    assert ("dispersion", "down") not in bad_directions(BY_NAME["throughput_ratio"])
    assert ("dispersion", "down") not in bad_directions(BY_NAME["index_age_s"])


def test_channels_lie_between_0_and_1_and_absent_values_stay_absent():
    rank = np.array([0.0, 0.005, 0.5, 0.995, 1.0, np.nan])
    assert from_rank("low_tail", rank)[:5].tolist() == [1, 1, 0, 0, 0]
    assert from_rank("high_tail", rank)[:5].tolist() == [0, 0, 0, 1, 1]
    assert from_rank("dispersion", rank)[[0, 2, 4]].tolist() == [1, 0, 1]
    for channel in channel_names("amount"):
        assert np.isnan(from_rank(channel, rank)[5])


def test_a_low_tail_grows_when_its_signal_falls():
    assert mean_rises("low_tail", "down")
    assert not mean_rises("location", "down")


def test_an_unknown_name_or_another_kind_gives_no_signal():
    assert signal_by_name("nonsense", "rate") is None
    assert signal_by_name("refused", "amount") is None
    assert signal_by_name("custom.toxicity", "rate").kind == "rate"
