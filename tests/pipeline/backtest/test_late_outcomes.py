"""A thumbs-down that comes after its request, without a version, still tells the bad version from the good one."""

import heapq
import json
import random

from tests.past_records import CHANGE, SETTINGS, deployment, past_records, time_of
from tests.pipeline.backtest.test_playback import play

COUNT = 9000
DELAY = 200
"""Number of records from a request to its rating."""


def records_and_ratings():
    """Yield records of two prompts that share the traffic from the change on, and the ratings of half of the requests.

    Users dislike half of the answers of the new prompt. No rating names a version.
    """
    rng = random.Random(5)
    ratings = []
    for number, value in enumerate(past_records(count=COUNT)):
        record = json.loads(value)
        is_new = number >= CHANGE and rng.random() < 0.5
        record["versions"] = {"prompt": "v2" if is_new else "v1"}
        if rng.random() < 0.5:
            rating = {"subject": "bot", "request_id": record["request_id"]}
            rating["output"] = {"thumbs_down": rng.random() < (0.5 if is_new else 0.05)}
            heapq.heappush(ratings, (number + rng.randrange(1, 2 * DELAY), number, rating))
        yield json.dumps(record).encode()
        while ratings and ratings[0][0] <= number:
            *_, rating = heapq.heappop(ratings)
            yield json.dumps(rating | {"timestamp": time_of(number)}).encode()


def find_incident(**settings):
    rival = deployment(CHANGE + 250, deployment_id="d-2", kind="model", from_version="m1", to_version="m2")
    result = play(
        records_and_ratings(), settings=SETTINGS.model_copy(update=settings), deployments=[deployment(), rival]
    )
    (incident,) = [one for one in result.incidents if one.shown.failure_mode == "negative_feedback"]
    return incident.shown


def test_the_incident_of_late_ratings_names_the_version_that_is_bad():
    suspect = find_incident().suspects[0]
    assert (suspect.deployment_id, suspect.split) == ("d-1", "bad")
    assert "thumbs_down" in suspect.reason


def test_without_the_versions_of_the_requests_no_version_is_found_bad():
    assert not [suspect for suspect in find_incident(outcome_window=0).suspects if suspect.split == "bad"]
