import math
from dataclasses import replace

import pytest

from pipeline.detect.findings.finding import NUMBER_MAX, Finding
from pipeline.detect.signals.catalogue import SIGNALS
from schemas.drift import Drift
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.topics import DRIFTS
from tests.pipeline.detect.streams import START_MS

REFUSED = next(signal for signal in SIGNALS if signal.name == "refused")
FINDING = Finding(
    signal=REFUSED,
    channel="rate",
    side="up",
    tier="page",
    detector="page_hinkley",
    state="firing",
    sequence=0,
    started_at=START_MS,
    detected_at=START_MS + 5000,
    updated_at=START_MS + 5000,
    request_id="r-81",
    normal=0.01,
    now=0.0912345678,
    effect=9.87654321,
    effect_kind="odds_ratio",
    records=412,
    evidence=28.3333333,
    threshold=27.5,
    sentence="refused rose",
)


def drift(finding=FINDING, **changes):
    fields = {
        "subject": "bot",
        "partition": 3,
        "baseline_version": "v1",
        "environment": "production",
        "provider": None,
    }
    output = finding.to_output(**{**fields, **changes})
    message = Drift.from_json(output.value)
    assert output.topic == DRIFTS
    assert output.key == message.drift_id.encode()
    return message


def test_a_drift_has_the_fields_of_the_finding_with_numbers_of_six_digits():
    message = drift()
    assert (message.signal, message.layer, message.side, message.tier) == ("refused", "output", "up", "page")
    assert (message.now, message.effect, message.evidence) == (0.0912346, 9.87654, 28.3333)
    assert (message.started_at, message.detected_at) == (START_MS, START_MS + 5000)
    assert (message.partition, message.environment, message.provider) == (3, "production", None)


def test_a_drift_has_its_segment_and_whether_its_test_pages_too_often():
    assert (drift().segment, drift().demote) == ("", False)
    other = drift(replace(FINDING, segment="prompt=v42", demote=True))
    assert (other.segment, other.demote) == ("prompt=v42", True)


def test_all_states_of_a_drift_share_its_id():
    later = replace(FINDING, state="recovered", sequence=4, updated_at=START_MS + 90_000, now=0.01, records=9000)
    assert drift(later).drift_id == drift().drift_id


def test_the_id_does_not_depend_on_the_partition():
    assert drift(partition=1).drift_id == drift().drift_id


@pytest.mark.parametrize(
    "other",
    [
        {"channel": "location"},
        {"side": "down"},
        {"tier": "ticket"},
        {"detected_at": START_MS + 5001},
        {"request_id": "r-82"},
        {"request_id": None},
        {"signal": SIGNALS[0]},
        {"segment": "tenant=acme"},
    ],
)
def test_another_finding_has_another_id(other):
    assert drift(replace(FINDING, **other)).drift_id != drift().drift_id


@pytest.mark.parametrize("other", [{"subject": "search"}, {"baseline_version": "v2"}])
def test_another_subject_or_baseline_has_another_id(other):
    assert drift(**other).drift_id != drift().drift_id


@pytest.mark.parametrize(
    ("number", "expected"), [(math.inf, NUMBER_MAX), (-math.inf, -NUMBER_MAX), (math.nan, 0.0), (1e-9, 1e-9)]
)
def test_a_number_that_json_cannot_express_is_bounded(number, expected):
    assert drift(replace(FINDING, effect=number)).effect == expected


def test_a_segment_name_fits_a_label_however_long_the_value_is():
    assert len(Finding.segment_name("tenant", "x" * SUBJECT_LENGTH_MAX)) == SUBJECT_LENGTH_MAX
