import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route.matchers import Matcher, check_label_names, matches_all, parse_matchers


def holds(text: str, **labels: str) -> bool:
    return matches_all(parse_matchers(text), {name: (value,) for name, value in labels.items()})


@pytest.mark.parametrize(
    ("text", "severity", "expected"),
    [
        ('severity="P1"', "P1", True),
        ('severity="P1"', "P2", False),
        ('severity!="P1"', "P2", True),
        ('severity!="P1"', "P1", False),
        ('severity=~"P1|P2"', "P2", True),
        ('severity=~"P1|P2"', "P3", False),
        ('severity!~"P1|P2"', "P3", True),
        ('severity!~"P1|P2"', "P1", False),
        ("severity=P1", "P1", True),
        ("severity =~ P[12]", "P2", True),
    ],
)
def test_every_operator_matches_as_in_alertmanager(text, severity, expected):
    assert holds(text, severity=severity) is expected


def test_a_regular_expression_must_match_the_full_value():
    assert not holds('subject=~"bot"', subject="support-bot")
    assert holds('subject=~".*bot"', subject="support-bot")
    assert not holds('subject=~"support|search"', subject="support-bot")


def test_a_plain_value_is_not_a_regular_expression():
    assert not holds('subject="a.c"', subject="abc")
    assert holds('subject="a.c"', subject="a.c")


def test_a_missing_label_is_empty():
    assert holds('environment=""')
    assert holds('environment!="production"')
    assert not holds('environment=~".+"')


def test_all_matchers_must_hold():
    text = '{subject="support-bot", severity=~"P1|P2"}'
    assert holds(text, subject="support-bot", severity="P1")
    assert not holds(text, subject="support-bot", severity="P3")
    assert not holds(text, subject="search", severity="P1")


def test_quotes_protect_commas_braces_and_operators():
    assert holds('subject="a, b}=~c", severity="P1"', subject="a, b}=~c", severity="P1")


def test_only_quote_backslash_and_line_break_are_escapes_in_quotes():
    assert holds(r'subject="say \"hi\""', subject='say "hi"')
    assert holds(r'subject="a\\b"', subject="a\\b")
    assert holds(r'subject=~"bot-\d+"', subject="bot-42")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty matcher"),
        ("{}", "empty matcher"),
        ("subject", "invalid matcher"),
        ('subject=="a"', "invalid matcher"),
        ('subject="a" severity="P1"', r"""at 'severity="P1"'"""),
        ('subject="a', "invalid matcher"),
        ('"subject"="a"', "invalid matcher"),
        ('subject="a", nonsense', "at ' nonsense'"),
        ('subject=~"("', "is invalid"),
        (r'subject=~"(a+)+b"', "a repeated group"),
        (r'subject=~"(a|aa)*b"', "a repeated group"),
        (r'subject=~"(?=a)"', "look-around"),
        (r'subject=~"(a)\1"', "back-reference"),
        ('subject=~"a{1000}"', "counted repeat"),
        ('subject=~".*.*.*.*x"', "repeats more than 3 times"),
        ('subject=~"(.*|x)(.*|x)(.*|x)(.*|x)"', "repeats more than 3 times"),
        (f'subject=~"{"a" * 501}"', "at most 500 characters"),
    ],
)
def test_an_invalid_matcher_is_refused_with_the_reason(text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
        parse_matchers(text)


def test_usual_regular_expressions_are_within_the_limits():
    for pattern in (
        "support-.*|search-.*|billing-.*|rank-.*",
        "(eu|us)-.*-bot",
        r"[a-z(){}*+?]+\(x\)\*",
        "a.?b+c*",
        "a" * 500,
    ):
        parse_matchers(f'subject=~"{pattern}"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('layer="safety"', True),
        ('layer="data"', False),
        ('layer!="safety"', False),
        ('layer!="data"', True),
        ('layer=~"safe.*|data"', True),
        ('layer=~"data|custom"', False),
        ('layer!~"safe.*"', False),
        ('layer!~"data|custom"', True),
        ('layer=""', False),
    ],
)
def test_a_label_with_several_values_matches_if_any_value_does_and_a_negation_if_none_does(text, expected):
    assert matches_all(parse_matchers(text), {"layer": ("output", "safety")}) is expected


def test_a_label_without_values_is_empty():
    assert matches_all(parse_matchers('layer=""'), {"layer": ()})
    assert not matches_all(parse_matchers('layer=~".+"'), {"layer": ()})


@pytest.mark.parametrize(
    ("name", "complaint"), [("subjct", 'did you mean "subject"'), ("zzz", "use one of subject, team")]
)
def test_an_unknown_label_is_refused_with_the_nearest_known_name(name, complaint):
    with pytest.raises(ValueError, match=f"unknown label '{name}'; {complaint}"):
        check_label_names(["subject", name], ["subject", "team"])


@given(st.sampled_from(["=", "!="]), st.text())
def test_a_matcher_as_text_is_read_as_the_same_matcher(operator, value):
    matcher = Matcher("subject", operator, value)
    assert parse_matchers(str(matcher)) == (matcher,)


def test_a_regular_expression_as_text_is_read_as_the_same_matcher():
    for text in (r'subject=~"v\d+\.\d"', r'subject!~"a|b\"c"'):
        (matcher,) = parse_matchers(text)
        assert parse_matchers(str(matcher)) == (matcher,)
