"""Subjects without records: the check after a deployment was written never fails its request."""

from pipeline.step import OutputMessage
from schemas.deployment import Deployment
from schemas.topics import DEPLOYMENTS
from topologies.http_server.unseen_subjects import UnseenSubjects
from topologies.kafka import Cluster


async def test_a_deployment_of_an_environment_has_no_subject_to_check():
    check = UnseenSubjects(Cluster("127.0.0.1:1"))
    deployment = Deployment(deployment_id="d-1", timestamp=1_795_489_900_000, kind="code", environment="production")
    check.check([OutputMessage(DEPLOYMENTS, b"d-1", deployment.to_json()), OutputMessage(DEPLOYMENTS, b"d-2", None)])
    await check.stop()
