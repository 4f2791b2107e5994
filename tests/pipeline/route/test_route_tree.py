from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import RouteSettings

RECEIVERS = [{"name": name, "console": True} for name in ("console", "pager", "chat", "log")]


def recipients(*routes, **labels):
    tree = RouteTree(RouteSettings.model_validate({"receivers": RECEIVERS, "routes": list(routes)}))
    found = tree.recipients({name: (value,) for name, value in labels.items()})
    return {receiver: " ".join(routes) for receiver, routes in found.items()}


def route(name, *receivers, matchers=(), continues=False, routes=()):
    return {
        "name": name,
        "receivers": list(receivers),
        "matchers": list(matchers),
        "continue": continues,
        "routes": list(routes),
    }


URGENT = ['severity=~"P1|P2"']
BOT = ['subject="support-bot"']


def test_without_routes_everything_goes_to_the_default_receivers():
    assert recipients(severity="P1") == {"console": "default"}


def test_an_incident_that_no_route_matches_goes_to_the_default_receivers():
    assert recipients(route("urgent", "pager", matchers=URGENT), severity="P3") == {"console": "default"}


def test_the_first_route_that_matches_takes_the_incident():
    routes = (route("urgent", "pager", matchers=URGENT), route("bot", "chat", matchers=BOT))
    assert recipients(*routes, severity="P1", subject="support-bot") == {"pager": "urgent"}
    assert recipients(*routes, severity="P3", subject="support-bot") == {"chat": "bot"}


def test_with_continue_the_next_routes_are_tried_too():
    routes = (
        route("log", "log", continues=True),
        route("urgent", "pager", matchers=URGENT, continues=True),
        route("bot", "chat", matchers=BOT),
        route("rest", "console"),
    )
    assert recipients(*routes, severity="P1", subject="support-bot") == {"log": "log", "pager": "urgent", "chat": "bot"}
    assert recipients(*routes, severity="P4", subject="search") == {"log": "log", "console": "rest"}


def test_a_nested_route_takes_what_it_matches_and_leaves_the_rest():
    outer = route("urgent", "pager", matchers=URGENT, routes=[route("bot", "chat", matchers=BOT)])
    assert recipients(outer, severity="P1", subject="support-bot") == {"chat": "bot"}
    assert recipients(outer, severity="P1", subject="search") == {"pager": "urgent"}
    assert recipients(outer, severity="P4", subject="support-bot") == {"console": "default"}


def test_a_receiver_that_two_routes_name_is_listed_once_with_both():
    routes = (route("a", "pager", "chat", continues=True), route("b", "chat", "chat"))
    assert recipients(*routes) == {"pager": "a", "chat": "a b"}


def test_nested_routes_inherit_the_repeat_interval_and_the_shortest_applies():
    inner = {"name": "inner", "receivers": ["chat"]}
    outer = {"name": "outer", "receivers": ["pager"], "repeat_interval_s": 60, "routes": [inner]}
    seldom = {"name": "seldom", "receivers": ["log"], "repeat_interval_s": 9000}
    tree = RouteTree(
        RouteSettings.model_validate({"receivers": RECEIVERS, "routes": [outer, seldom], "repeat_interval_s": 600})
    )
    assert [tree.repeat_interval_s([name]) for name in ("default", "outer", "inner", "seldom")] == [600, 60, 60, 9000]
    assert tree.repeat_interval_s(["seldom", "inner"]) == tree.shortest_repeat_interval_s == 60
    assert tree.repeat_interval_s(["removed"]) == 600
