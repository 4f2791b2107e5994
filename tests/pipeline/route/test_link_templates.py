"""Links of the configuration: which templates are valid, and what a name from a sender can do to a link."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.route import RouteSettings
from pipeline.route.link_templates import fill_link_template
from tests.hostile_names import HOSTILE, SUBJECT
from tests.pipeline.route.samples import STARTED, incident

TRACES = "https://traces.example.org/search?service={subject}&env={environment}&from={from_s}&to={to_s}#{incident_id}"


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ({"Traces": "https://t.example.org/{subjct}"}, r'unknown placeholder \{subjct\}; did you mean "subject"\?'),
        ({"Traces": "https://t.example.org/{started_at_s}"}, r"unknown placeholder \{started_at_s\}; use one of "),
        ({"Traces": "https://t.example.org/{}"}, r"unknown placeholder \{\}; use one of "),
        ({"Traces": "https://t.example.org/{subject.__class__}"}, r"unknown placeholder \{subject.__class__\}"),
        ({"Traces": "https://t.example.org/{subject!r}"}, r"unknown placeholder \{subject!r\}"),
        ({"Traces": 'https://t.example.org/?q={"a":{subject}}'}, "a brace must be part of a placeholder; write %7B"),
        ({"Traces": "https://t.example.org/}"}, "a brace must be part of a placeholder"),
        ({"Traces": "ftp://t.example.org/{subject}"}, "it must be an http or https address with a host"),
        ({"Traces": "javascript:{subject}"}, "it must be an http or https address with a host"),
        ({"Traces": "t.example.org/{subject}"}, "it must be an http or https address with a host"),
        ({"Traces": "https://{environment}.example.org/"}, "a placeholder must be in the path, in the parameters"),
        ({"Traces": "https://t.example.org{subject}"}, "a placeholder must be in the path, in the parameters"),
        ({"Traces": "https://ana:s3cret@t.example.org/"}, "it must not contain a user or a password"),
        ({"Traces": "https://t.example.org/../{subject}"}, r"its path must not contain \. or \.\."),
        ({"Runbook": "https://t.example.org/"}, "every message has a link to the runbook; choose another name"),
        ({"<b>": "https://t.example.org/"}, "the name of a link must have 1 to 40 letters"),
        ({"": "https://t.example.org/"}, "the name of a link must have 1 to 40 letters"),
        (dict.fromkeys("abcd", "https://t.example.org/"), "at most 3 items"),
    ],
)
def test_an_invalid_link_is_refused_with_the_reason(links, problem):
    with pytest.raises(ValidationError, match=problem) as error:
        RouteSettings.model_validate({"links": links})
    assert "s3cret" not in str(error.value)


def test_the_address_has_the_values_of_the_incident_with_a_margin_of_ten_minutes():
    assert RouteSettings.model_validate({"links": {"Traces": TRACES}}).links == {"Traces": TRACES}
    url = fill_link_template(TRACES, incident(), STARTED + 60_000)
    assert url == (
        "https://traces.example.org/search?service=support-bot&env=production"
        f"&from={STARTED // 1000 - 600}&to={STARTED // 1000 + 660}#inc-3f9a21c0b7"
    )
    times = "https://t.example.org/?{from_ms}-{to_ms}-{provider}-{failure_mode}"
    expected = f"https://t.example.org/?{STARTED - 600_000}-{STARTED + 660_000}--refusal_spike"
    assert fill_link_template(times, incident(), STARTED + 60_000) == expected


def test_the_end_is_that_of_an_incident_that_is_over_and_never_before_the_start():
    over = incident(status="resolved", resolved_at=STARTED + 3_600_000)
    to = "https://t.example.org/?{to_ms}"
    assert fill_link_template(to, over, STARTED + 9_000_000) == f"https://t.example.org/?{STARTED + 4_200_000}"
    assert fill_link_template(to, incident(), STARTED - 9_000_000) == f"https://t.example.org/?{STARTED + 600_000}"


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_no_value_changes_the_host_the_path_the_other_parameters_or_the_fragment(name):
    revision = incident().model_copy(update={"subject": name, "environment": name})
    url = fill_link_template(TRACES, revision, STARTED)
    assert url is not None
    assert url.isascii()
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "traces.example.org", "/search")
    assert parts.fragment == "inc-3f9a21c0b7"
    read = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    clean = name.encode(errors="replace").decode()
    assert read == {
        "service": [clean],
        "env": [clean],
        "from": [str(STARTED // 1000 - 600)],
        "to": [str(STARTED // 1000 + 600)],
    }


@pytest.mark.parametrize(
    "name", [HOSTILE, SUBJECT, "a/../b", "%2e%2e", "...", "?x=1#y", "//evil.example.org", "\\evil"]
)
def test_a_name_stays_one_folder_of_a_path(name):
    revision = incident().model_copy(update={"subject": name})
    url = fill_link_template("https://page.example.org/subjects/{subject}/incidents", revision, STARTED)
    assert url is not None
    assert urlsplit(url).path.count("/") == 3
    assert urlsplit(url).query == urlsplit(url).fragment == ""


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_a_browser_would_remove_from_the_path_gives_no_link(name):
    revision = incident().model_copy(update={"subject": name})
    assert fill_link_template("https://page.example.org/{subject}", revision, STARTED) is None
    assert fill_link_template("https://page.example.org/{subject}{provider}/x", revision, STARTED) is None
    url = fill_link_template("https://page.example.org/?s={subject}", revision, STARTED)
    assert url == f"https://page.example.org/?s={name}"
