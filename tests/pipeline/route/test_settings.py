import pytest
from pydantic import ValidationError

from pipeline.route.settings import RouteSettings

CONSOLE = {"name": "console", "console": True}
WEBHOOK = {"name": "hook", "webhook": {"url": "https://user:s3cret@example.org/path?token=s3cret"}}


def settings(**fields):
    return RouteSettings.model_validate({"receivers": [CONSOLE, WEBHOOK]} | fields)


def test_without_settings_everything_goes_to_the_console():
    defaults = RouteSettings()
    assert [receiver.kind for receiver in defaults.receivers] == ["console"]
    assert defaults.default_receivers == ("console",)
    assert defaults.routes == ()


def test_nested_routes_are_read():
    read = settings(
        routes=[
            {
                "name": "urgent",
                "matchers": ['severity=~"P1|P2"'],
                "receivers": ["hook"],
                "continue": True,
                "routes": [{"name": "bot", "matchers": ['subject="support-bot"'], "receivers": ["console"]}],
            }
        ]
    )
    assert read.routes[0].continues
    assert read.routes[0].routes[0].name == "bot"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"receivers": []}, "default_receivers names receiver 'console', which does not exist"),
        ({"receivers": [CONSOLE, CONSOLE]}, "two receivers have the name 'console'"),
        ({"receivers": [{"name": "console"}]}, "needs exactly one destination; set one of the keys console, webhook"),
        ({"receivers": [CONSOLE | WEBHOOK]}, "'hook' needs exactly one destination"),
        ({"receivers": [CONSOLE, {"name": "hook", "webhook": {}}]}, "set either url or url_file"),
        (
            {"receivers": [CONSOLE, WEBHOOK | {"webhook": {"url": "ftp://example.org"}}]},
            "must be an http or https address",
        ),
        ({"receivers": [CONSOLE, WEBHOOK | {"webhook": {"url": "https://"}}]}, "must be an http or https address"),
        (
            {"receivers": [CONSOLE, WEBHOOK | {"webhook": {"url": "https://example.org:99999/"}}]},
            "must be an http or https address",
        ),
        ({"receivers": [CONSOLE | {"time_zone": "Europe/Berln"}]}, 'did you mean "Europe/Berlin"'),
        ({"default_receivers": []}, "at least 1 item"),
        ({"default_receivers": ["pager"]}, "'pager', which does not exist; .* .known receivers: console, hook."),
        ({"routes": [{"name": "a", "receivers": ["pager"]}]}, "route 'a' names receiver 'pager'"),
        ({"routes": [{"name": "default", "receivers": ["hook"]}]}, "two routes have the name 'default'"),
        ({"routes": [{"name": "a", "receivers": ["hook"], "matchers": ["nonsense"]}]}, "invalid matcher"),
        ({"routes": [{"name": "a", "receivers": ["hook"], "matcher": []}]}, "Extra inputs are not permitted"),
        ({"repeat_interval": 3}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_settings_are_refused_with_the_reason(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        settings(**fields)


def test_two_routes_with_the_same_name_are_refused_at_any_depth():
    inner = {"name": "a", "receivers": ["hook"]}
    with pytest.raises(ValidationError, match="two routes have the name 'a'"):
        settings(routes=[{"name": "b", "receivers": ["hook"], "routes": [inner]}, inner])


def test_the_secret_parts_of_an_address_never_appear():
    read = settings()
    assert "s3cret" not in repr(read)
    assert "s3cret" not in str(read)
    assert "s3cret" not in read.model_dump_json()
    with pytest.raises(ValidationError) as refused:
        settings(receivers=[CONSOLE, WEBHOOK | {"webhook": {"url": "ftp://user:s3cret@example.org"}}])
    assert "s3cret" not in str(refused.value)
