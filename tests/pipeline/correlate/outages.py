"""A provider that fails in many subjects, and the incidents that result."""

import random

from tests.pipeline.correlate.builders import SECOND, START, drift, newest

SUBJECTS = [f"bot-{number:02}" for number in range(50)]


def failing(subject, *, signal="error", after_s=0, **fields):
    """One subject of openai that fails, some seconds after the first."""
    shared = {"provider": "openai", "environment": "production"}
    return drift(signal, subject=subject, start=START + round(after_s * SECOND), **(shared | fields))


def outage(subjects=SUBJECTS, seed=1):
    """Drifts of a provider's outage, one list per subject: errors everywhere, some slow or empty answers."""
    random_ = random.Random(seed)
    drifts = []
    for subject in subjects:
        begun = random_.uniform(0, 110)
        signal = random_.choice(("error", "error", "latency_ms", "empty"))
        drifts.append([failing(subject, after_s=begun, signal=signal)])
        if random_.random() < 0.5:
            drifts[-1].append(
                failing(subject, after_s=begun + 10, signal="empty", drift_id=f"{subject}-second", now=0.02)
            )
    return drifts


THREE = [failing(subject, after_s=number) for number, subject in enumerate(("a", "b", "c"))]


def unmerged_incidents(final):
    return [incident for incident in final.values() if incident.status != "merged"]


def the_parent(*contracts, settings=None):
    [parent] = unmerged_incidents(newest(*contracts, settings=settings))
    assert parent.children
    return parent


def child_of(*contracts, subject="a"):
    return next(incident for incident in newest(*contracts).values() if incident.subject == subject)
