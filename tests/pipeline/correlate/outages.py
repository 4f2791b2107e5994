"""A provider that fails in many subjects, and what correlate makes of it."""

import random

from tests.pipeline.correlate.builders import SECOND, START, drift, newest

SUBJECTS = [f"bot-{number:02}" for number in range(50)]


def failing(subject, *, signal="error", after_s=0, **fields):
    """One subject of openai that fails, so many seconds after the first."""
    shared = {"provider": "openai", "environment": "production"}
    return drift(signal, subject=subject, start=START + round(after_s * SECOND), **(shared | fields))


def outage(subjects=SUBJECTS, seed=1):
    """What detect says of a provider's outage, a list a subject: errors everywhere, some slow or empty answers."""
    random_ = random.Random(seed)
    found = []
    for subject in subjects:
        begun = random_.uniform(0, 110)
        signal = random_.choice(("error", "error", "latency_ms", "empty"))
        found.append([failing(subject, after_s=begun, signal=signal)])
        if random_.random() < 0.5:
            found[-1].append(
                failing(subject, after_s=begun + 10, signal="empty", drift_id=f"{subject}-second", now=0.02)
            )
    return found


THREE = [failing(subject, after_s=place) for place, subject in enumerate(("a", "b", "c"))]


def alone(final):
    return [each for each in final.values() if each.status != "merged"]


def the_parent(*contracts, settings=None):
    [parent] = alone(newest(*contracts, settings=settings))
    assert parent.children
    return parent


def child_of(*contracts, subject="a"):
    return next(each for each in newest(*contracts).values() if each.subject == subject)
