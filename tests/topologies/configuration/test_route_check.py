import pytest

from pipeline.route import RouteSettings
from topologies.configuration import parts_without_effect

CONSOLE, PAGER = ({"name": name, "console": True} for name in ("console", "pager"))


def route(name, *matchers, receiver="console", **fields):
    return {"name": name, "matchers": matchers, "receivers": [receiver], **fields}


def found(**fields):
    return parts_without_effect(RouteSettings.model_validate(fields))


def test_the_defaults_and_a_usual_tree_have_none():
    assert found() == []
    tree = [
        route("a", "severity=P1", receiver="pager", routes=[route("a.a", "layer=safety"), route("a.b", "severity=P1")]),
        route("b", "severity=P2", "team=x"),
        route("c", "severity=P2"),
        route("d", 'severity=~"P5|P3"', "failure_mode!=nothing", "subject=nothing", 'layer=""'),
        route("e"),
    ]
    rule = {"source": ["severity=P1"], "target": ["severity!=P1"], "equal": ["subject"]}
    labels = [{"labels": {"team": "x"}}]
    assert found(receivers=[CONSOLE, PAGER], routes=tree, inhibit=[rule], labels=labels) == []


def test_a_receiver_that_no_route_uses():
    line = (
        'route.receivers[1]: no route uses the receiver "pager"; add it to a route or to route.default_receivers, or '
        "remove it"
    )
    receivers = [CONSOLE, PAGER]
    assert found(receivers=receivers) == [line]
    assert found(receivers=receivers, default_receivers=["console", "pager"]) == []
    assert found(receivers=receivers, routes=[route("a", routes=[route("b", receiver="pager")])]) == []
    assert found(receivers=[CONSOLE | {"fallback": "pager"}, PAGER]) == []
    digest = {"name": "morning", "receivers": ["pager"], "time": "09:00"}
    assert found(receivers=receivers, digests=[digest]) == []
    [line] = found(receivers=receivers, digests=[digest | {"matchers": ["severity=P5"]}])
    assert line.startswith('route.digests[0].matchers: no incident has severity="P5"')


def unreachable(path, name, earlier):
    line = f'{path}: no incident reaches the route "{name}", because the earlier route "{earlier}" matches all its '
    return [f"{line}incidents; move it up, or add continue = true to the earlier route"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ([], []),
        ([], ["severity=P1"]),
        (["severity=P1"], ['severity="P1"']),
        (["severity=P1", "layer=safety"], ["layer=safety, severity=P1"]),
        (["severity=P1"], ["severity=P1", "layer=safety"]),
    ],
)
def test_a_route_that_no_incident_reaches(earlier, later):
    routes = [
        route("a", *earlier),
        route("b", "subject=x", "severity=P4"),
        route("c", *later, routes=[route("d"), route("e")]),
    ]
    assert found(routes=routes)[-1:] == unreachable("route.routes[2]", "c", "a")
    nested = found(routes=[route("outer", routes=[routes[0], routes[2]])])
    assert nested == unreachable("route.routes[0].routes[1]", "c", "a")
    assert "c" not in str(found(routes=[routes[0] | {"continue": True}, routes[1], routes[2] | {"routes": []}]))


@pytest.mark.parametrize(
    ("matcher", "hint"),
    [
        ('severity="P5"', "use one of P1, P2, P3, P4"),
        ('severity="p1"', "use one of P1, P2, P3, P4"),
        ('layer="safty"', 'did you mean "safety"?'),
        ('status="acknowleged"', 'did you mean "acknowledged"?'),
        ('failure_mode="refusal_spikes"', 'did you mean "refusal_spike"?'),
        ('failure_mode=""', "use one of "),
    ],
)
def test_a_matcher_that_no_incident_matches(matcher, hint):
    rule = {"source": [matcher], "target": ["severity=P2", matcher]}
    tree = [route("a", routes=[route("b", f"subject=x, {matcher}")])]
    lines = found(routes=tree, inhibit=[rule], labels=[{"matchers": [matcher], "labels": {"a": "b"}}])
    paths = ("routes[0].routes[0].matchers", "labels[0].matchers", "inhibit[0].source", "inhibit[0].target")
    assert len(lines) == len(paths)
    for line, path in zip(lines, paths, strict=True):
        assert line.startswith(f"route.{path}: no incident has {matcher}; {hint}")


def test_an_inhibition_rule_whose_source_and_target_are_the_same():
    same = {"source": ["severity=P1", "layer=safety"], "target": ["layer=safety, severity=P1"]}
    assert found(inhibit=[{"source": ["severity=P1"], "target": ["severity=P2"]}, same]) == [
        "route.inhibit[1]: source and target are the same, so the rule inhibits no incident; change one of them"
    ]
