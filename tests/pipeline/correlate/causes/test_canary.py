"""Whether a new version serves alongside others, by the share of its segment and by the minutes of each version."""

from pipeline.correlate.causes.canary import find_traffic_split
from schemas.drift import Series
from tests.pipeline.correlate.builders import MINUTE, START, deployment, drift, only

CAUSE = deployment()


def minutes(version, *records, begins=0):
    return Series(version=version, begins_at=START + begins * MINUTE, records=list(records), means=[0.1] * len(records))


def split(*series, **fields):
    return find_traffic_split(CAUSE, [drift(series=list(series), **fields)])


def test_a_drift_of_the_full_subject_shows_no_split():
    assert split() is None
    assert split(minutes("", 9, 9, 9)) is None


def test_the_segment_of_the_new_version_has_its_share():
    assert split(segment="prompt=v42", traffic_share=0.05).share == 0.05
    assert split(segment="prompt=v41", traffic_share=0.05) is None
    assert split(segment="tenant=v42", traffic_share=0.05) is None


def test_a_version_with_all_the_traffic_has_no_split():
    assert split(segment="prompt=v42") is None
    assert split(segment="prompt=v42", traffic_share=0.99) is None


def test_a_version_that_served_in_the_last_minutes_serves_beside_it():
    both = split(minutes("prompt=v42", 3, 3, 3, 3), minutes("prompt=v41", 60, 60, 60, 60))
    assert (both.share, both.others, both.is_canary) == (None, {"v41"}, True)


def test_a_version_that_ended_earlier_does_not():
    assert split(minutes("prompt=v42", 0, 9, 9, 9, 9), minutes("prompt=v41", 60, 4, 0, 0, 0)) is None


def test_versions_of_other_kinds_do_not_count():
    assert split(minutes("prompt=v42", 9, 9, 9), minutes("model=m-7", 9, 9, 9)) is None


def test_a_flag_is_matched_by_its_name():
    flag = deployment(kind="flag", name="rerank", from_version="off", to_version="on")
    drifts = [drift(series=[minutes("flag:rerank=on", 9, 9, 9), minutes("flag:rerank=off", 9, 9, 9)])]
    assert find_traffic_split(flag, drifts).others == {"off"}


def target(*deployments, **fields):
    [step] = [step for step in only(*deployments, drift(**fields)).containment if step.action == "rollback"]
    return step.target


BOTH = [minutes("prompt=v42", 3, 3, 3), minutes("prompt=v41", 60, 60, 60)]


def test_a_canary_is_stopped_and_the_others_take_its_traffic():
    stop = "prompt: stop the canary v42"
    assert target(CAUSE, series=BOTH) == f"{stop} and send all traffic to v41"
    hit = {"segment": "prompt=v42", "traffic_share": 0.05}
    assert target(CAUSE, series=BOTH, **hit) == f"{stop} (5.0 % of the traffic) and send all traffic to v41"


def test_a_version_with_most_of_the_traffic_is_not_a_canary():
    hit = {"segment": "prompt=v42", "traffic_share": 0.7}
    assert target(CAUSE, **hit) == "prompt: stop v42 (70.0 % of the traffic) and send all traffic to v41"


def test_a_known_good_version_that_no_longer_serves_is_the_target():
    good = deployment("d-40", before_s=90_000, from_version=None, to_version="v40")
    bad = deployment("d-41", before_s=120, from_version="v40", to_version="v41")
    assert target(good, bad, CAUSE, series=BOTH).startswith("prompt to v40 (last known good: live 1 d without")
