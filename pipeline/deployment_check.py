"""Checks of a deployment before it is sent. They find what the contract allows but what makes no sense.

The command ``driftwire deployed`` and everything that receives deployments over HTTP use them.
"""

from pipeline.detect.signals import catalogue
from pipeline.wording import PROBLEMS_MAX, did_you_mean
from schemas.deployment import Deployment

CUSTOM_PREFIX = "custom."
"""Prefix of the names of custom signals."""

SIGNAL_NAMES = frozenset(signal.name for signal in (*catalogue.SIGNALS, *catalogue.EVENTS))
"""Names of all signals except custom signals."""


def is_signal(name: str) -> bool:
    """Return whether a name is that of a signal of the catalogue or of a custom signal.

    >>> is_signal("latency_ms"), is_signal("throughput_ratio"), is_signal("custom.toxicity"), is_signal("latency")
    (True, True, True, False)
    """
    return name in SIGNAL_NAMES or (name.startswith(CUSTOM_PREFIX) and len(name) > len(CUSTOM_PREFIX))


def describe_unknown_signal(name: str) -> str:
    """Describe an unknown signal, with the most similar known name.

    >>> describe_unknown_signal("latncy_ms")
    'unknown signal "latncy_ms"; did you mean "latency_ms"? A custom signal is named "custom.latncy_ms"'
    """
    return (
        f'unknown signal "{name}"; {did_you_mean(name, SIGNAL_NAMES)} A custom signal is named "{CUSTOM_PREFIX}{name}"'
    )


def find_problems(deployment: Deployment) -> list[str]:
    """Return what is wrong with a deployment, one sentence per problem. The list is empty for a valid deployment.

    >>> find_problems(Deployment(deployment_id="d-1", timestamp=1795489900000, kind="prompt", subject="support-bot",
    ...                          from_version="v1", to_version="v1", expect_shift=["lenght"]))
    ['expect_shift: unknown signal "lenght"; did you mean "length"? A custom signal is named "custom.lenght"', \
'from_version and to_version are the same: "v1"']
    """
    unknown = [name for name in deployment.expect_shift if not is_signal(name)]
    problems = [f"expect_shift: {describe_unknown_signal(name)}" for name in unknown[:PROBLEMS_MAX]]
    if deployment.to_version is not None and deployment.from_version == deployment.to_version:
        problems.append(f'from_version and to_version are the same: "{deployment.to_version}"')
    if deployment.rollback_of == deployment.deployment_id:
        problems.append(f'rollback_of is the id of the deployment itself: "{deployment.deployment_id}"')
    return problems
