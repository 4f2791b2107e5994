"""Duties to notify that may apply, with their deadline and source, for a person to decide."""

import re
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.correlate.playbook.duties import DutyRow, known_regimes
from pipeline.correlate.settings import CorrelateSettings
from tests.pipeline.correlate.builders import MINUTE, START, command, drift, later, only, revisions, tick

PAGE = (Path(__file__).parents[4] / "docs/communication.md").read_text("utf-8")
HOUR = 60 * MINUTE
ALL = CorrelateSettings(regimes=tuple(known_regimes()))
EXPOSED, EMPTY = drift("pii_detected"), drift("empty", now=0.8)
FIRED = EXPOSED.detected_at


def duties(*contracts, regimes):
    rows = only(*contracts, settings=CorrelateSettings(regimes=regimes)).duties
    return {duty.name: None if duty.due_at is None else (duty.due_at - FIRED) // HOUR for duty in rows}


def test_without_a_regime_there_is_no_duty():
    assert only(EXPOSED).duties == []


def test_personal_data_in_outputs_may_be_a_breach_under_the_gdpr():
    assert duties(EXPOSED, regimes=("gdpr",)) == {
        "GDPR article 33 (supervisory authority)": 72,
        "GDPR article 34 (data subjects)": None,
    }


def test_personal_data_in_outputs_may_be_a_breach_under_the_privacy_act():
    assert duties(EXPOSED, regimes=("au_privacy",)) == {
        "Privacy Act 1988 s 26WH (assessment)": 30 * 24,
        "Privacy Act 1988 s 26WK (statement)": None,
        "Privacy Act 1988 s 26WL (individuals)": None,
    }


@pytest.mark.parametrize("opened", [EXPOSED, EMPTY])
def test_a_p1_or_p2_of_any_kind_may_be_an_operational_risk_incident(opened):
    assert duties(opened, regimes=("apra_cps_230",)) == {
        "CPS 230 paragraph 41 (critical operation outside tolerance)": 24,
        "CPS 230 paragraph 32 (operational risk incident)": 72,
    }


def test_a_compromise_of_information_may_be_an_information_security_incident():
    assert duties(EXPOSED, regimes=("apra_cps_234",)) == {"CPS 234 paragraph 35 (information security incident)": 72}


def test_a_failure_without_personal_data_has_no_privacy_duty():
    assert duties(EMPTY, regimes=("gdpr", "au_privacy", "apra_cps_234")) == {}


def test_a_p3_has_no_operational_risk_duty():
    assert duties(drift(), regimes=("apra_cps_230",)) == {}


def test_a_lower_severity_removes_its_duties_but_those_of_failure_modes_stay():
    classified = command("classify", only(EXPOSED).incident_id, severity="P3")
    assert duties(EXPOSED, classified, regimes=("apra_cps_230", "apra_cps_234")) == {
        "CPS 234 paragraph 35 (information security incident)": 72
    }


def test_every_duty_only_may_apply_and_has_its_source_and_the_day_it_was_read():
    for duty in only(EXPOSED, settings=ALL).duties:
        assert duty.text.startswith("May apply: decide whether it does. ")
        assert "https://" in duty.source
        assert "(read 2026-11-24)" in duty.source


def test_a_missed_deadline_has_one_reminder_even_after_the_resolution():
    story = [EXPOSED, later(EXPOSED, 60), *(tick(START + hours * HOUR) for hours in range(100))]
    published = revisions(*story, settings=CorrelateSettings(regimes=("gdpr",)))
    lines = [entry for entry in published[-1].log if entry.event == "reminder" and "its deadline passed" in entry.text]
    [line] = [entry for entry in lines if "GDPR" in entry.text]
    assert published[-1].status == "resolved"
    assert line.at == FIRED + 72 * HOUR
    assert line.text == (
        "GDPR article 33 (supervisory authority) may apply and its deadline passed at 2026-11-27 03:12Z: decide whether "
        "it applies, and record the decision"
    )
    assert sum("GDPR" in revision.change and "its deadline passed" in revision.change for revision in published) == 1


@pytest.mark.parametrize(
    ("regime", "ahead", "due", "section"),
    [
        ("gdpr", 48, 72, "article 33"),
        ("apra_cps_230", 12, 24, "paragraph 41"),
        ("au_privacy", 29 * 24, 30 * 24, "26WH"),
    ],
)
def test_a_duty_has_a_reminder_a_day_before_its_deadline_or_at_half_of_a_shorter_time(regime, ahead, due, section):
    settings = CorrelateSettings(regimes=(regime,))
    fine = [tick(START + hours * HOUR) for hours in range(due + 2)]
    for story in (fine, [tick(START + (due + 1) * HOUR)]):
        lines = [entry for entry in only(EXPOSED, *story, settings=settings).log if section in entry.text]
        assert [line.at - FIRED for line in lines] == [ahead * HOUR, due * HOUR]
        assert "may apply and is due at" in lines[0].text
        assert lines[0].text.endswith("decide whether it applies, and record the decision")


@pytest.mark.parametrize("row", DutyRow.table(), ids=lambda row: row.name)
def test_every_row_is_in_the_documentation_with_its_deadline(row):
    section = re.search(r"(s 26W.|paragraph \d+|article \d+)", row.name)[0]
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| `{row.regime}` |") and section in line]
    deadline = (
        f"{row.hours} hours" if row.hours else f"{row.days} days" if row.days else "as soon as|without undue delay"
    )
    assert re.search(deadline, line)


@pytest.mark.parametrize("row", DutyRow.table(), ids=lambda row: row.name)
def test_every_row_states_what_to_do_and_when_it_was_read(row):
    assert row.text.endswith(".")
    assert row.read <= date(2026, 11, 24)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"failure_modes": ("pii_exposed",)}, 'did you mean "pii_exposure"?'),
        ({"failure_modes": ()}, "sets no condition"),
        ({"hours": 1, "days": 1}, "sets two deadlines"),
        ({"hours": 0}, "greater than or equal to 1"),
        ({"note": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_row_is_refused(change, complaint):
    row = {
        "regime": "gdpr",
        "name": "n",
        "failure_modes": ("pii_exposure",),
        "to": "t",
        "text": "t.",
        "source": "s",
        "read": date(2026, 11, 24),
    }
    assert DutyRow(**row).deadline_ms is None
    with pytest.raises(ValidationError) as caught:
        DutyRow(**(row | change))
    assert complaint in str(caught.value)


def test_an_unknown_regime_names_the_nearest():
    with pytest.raises(ValidationError) as caught:
        CorrelateSettings(regimes=("apra_cps230",))
    assert 'unknown regime "apra_cps230"; did you mean "apra_cps_230"?' in str(caught.value)
