"""A worker that loses a permission while it has work names it, loses nothing, writes nothing twice, and continues."""

import asyncio
from collections.abc import Iterator

import pytest

from schemas.topics import checkpoints_topic
from tests.security.acls import Acl, add_acls, documented_acls, remove_acls
from tests.security.secure_broker import WORKERS, SecureBroker, password_of
from tests.security.work import outputs_of_work, secure_worker, send_work, wait_for_outputs
from tests.topologies.worker_under_test import WorkerUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

RIGHTS = [(acl.user.removeprefix("driftwire-"), acl) for acl in documented_acls() if acl.user in WORKERS]


@pytest.fixture(scope="module")
def step(request: pytest.FixtureRequest) -> str:
    """The step whose rights are taken away."""
    return str(request.param)


@pytest.fixture(scope="module")
def worker(
    step: str, secure_broker: SecureBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerUnderTest]:
    """A worker that has written a checkpoint. It runs for all of its rights."""
    user = f"driftwire-{step}"
    with secure_worker(step, secure_broker.secure_cluster(user), tmp_path_factory.mktemp(step)) as started:
        started.start()
        started.wait_for_output(f"{step}: ready")
        asyncio.run(send_work(step, secure_broker, f"{step} with all rights"))
        wait_for_outputs(secure_broker, outputs_of_work(step, f"{step} with all rights"))
        yield started
        assert started.stop() == 0
        assert "Traceback" not in started.output
        assert password_of(user) not in started.output


@pytest.mark.parametrize(
    ("step", "right"),
    [pytest.param(step, acl, id=f"{step}-{acl.operation}-{acl.kind}-{acl.name}") for step, acl in RIGHTS],
    indirect=["step"],
    scope="module",
)
def test_a_worker_that_loses_a_right_names_it_and_continues_when_it_is_granted(
    secure_broker: SecureBroker, worker: WorkerUnderTest, step: str, right: Acl
) -> None:
    name = f"{step} without {right.operation} on {right.name}"
    asyncio.run(remove_acls(secure_broker.cluster, [right]))
    try:
        is_needed_by_starts_only = (right.operation, right.name) == ("Read", checkpoints_topic(step))
        if is_needed_by_starts_only:
            worker.kill()
        asyncio.run(send_work(step, secure_broker, name))
        if is_needed_by_starts_only:
            worker.start()
        worker.wait_for_output(missing_right(right))
    finally:
        asyncio.run(add_acls(secure_broker.cluster, [right]))
    wait_for_outputs(secure_broker, outputs_of_work(step, name))
    assert worker.output.count(f"incident  {name}  revision 1") == (step == "route")  # the receiver is the console


def missing_right(right: Acl) -> str:
    """The words in which a worker names a missing permission."""
    name = f"{right.name}0" if right.kind == "transactional_id" else right.name
    resource = f"{right.kind.replace('_', ' ')} {name}"
    return (
        f"{right.operation} permission on {resource} is missing: grant it to user {right.user} (see docs/security.md)"
    )
