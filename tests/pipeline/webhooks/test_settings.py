"""Settings of webhooks: each mistake is an error that says what to do."""

import pytest
from pydantic import ValidationError

from tests.pipeline.webhooks.requests import settings


@pytest.mark.parametrize(
    ("kind", "keys", "problem"),
    [
        ("github", {"secrets": None}, "set either secrets or secrets_file"),
        ("github", {"secrets_file": "secrets"}, "set either secrets or secrets_file"),
        ("github", {"signature": "hmac"}, "set signature for a generic webhook, and for no other"),
        ("github", {"header": "X-Other"}, "a github webhook has a header of its own: remove header"),
        ("argocd", {"header": "X Other"}, "header must be the name of a header"),
        ("generic", {"signature": ""}, "set signature for a generic webhook"),
        ("generic", {"header": ""}, "set header to the name of the header"),
        ("generic", {"map": ["at=timestamp"], "constants": {}}, "map a source to kind, or set a constant"),
        ("generic", {"map": []}, "map a source to timestamp"),
        ("langfuse", {"subjects": []}, "a langfuse webhook names no environment: set subjects"),
        ("github", {"subjects": ["{repository"]}, "write each source in braces"),
        ("github", {"subjects": [], "subject_table": {"a": ["b"]}}, "subject_table needs a rule in subjects"),
        ("github", {"subject_table": {"a": []}}, 'subject_table "a": give one or more subjects'),
        ("github", {"map": ["a=versoin"]}, 'a deployment has no field "versoin"'),
        ("github", {"map": ["a=to_versio"]}, 'did you mean "to_version"'),
        ("github", {"map": ["a"]}, 'map "a": use SOURCE=FIELD'),
        ("github", {"map": ["a=subject"]}, "set the subjects with the key subjects"),
        ("github", {"map": ["a=name", "b=name"]}, "name is also mapped to a"),
        ("github", {"map": ["a=name"], "constants": {"name": "x"}}, "the field is also mapped to a"),
        ("github", {"constants": {"timestamp": 0}}, "it differs between deployments"),
        ("github", {"when": ["status"]}, 'when "status": use SOURCE=VALUE'),
    ],
)
def test_a_mistake_is_an_error(kind, keys, problem):
    with pytest.raises(ValidationError, match=problem):
        settings(kind, **keys)


def test_an_error_contains_no_secret():
    with pytest.raises(ValidationError) as error:
        settings("github", secrets=["A-SECRET"], map=["a"])
    assert "A-SECRET" not in str(error.value)
    assert "A-SECRET" not in repr(settings("github", secrets=["A-SECRET"]))
