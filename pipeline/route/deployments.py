"""Deployments that are sent to receivers as they are, such as change events of PagerDuty."""

from hashlib import blake2b

from pipeline.decoding import Unreadable, decode_contract
from pipeline.route import reasons
from pipeline.route.notices import Notices
from pipeline.route.settings import RouteSettings
from pipeline.step import InputMessage, OutputMessage
from schemas.deployment import Deployment
from schemas.message import AHEAD_MAX_MS
from schemas.notice import DeploymentChange
from schemas.topics import DAY_MS, MEBIBYTE

DEPLOYMENT_AGE_MAX_MS = DAY_MS
"""Maximum age of a deployment that is sent, in milliseconds. Older ones are in the topic when a worker starts for the
first time. Higher values send more of them."""


class Deployments:
    """The deployments, for the receivers of the settings that want them.

    Parameters
    ----------
    settings
        Receivers.
    notices
        Store of what is owed.
    """

    def __init__(self, settings: RouteSettings, notices: Notices) -> None:
        self._receivers = settings.deployment_receivers
        self._notices = notices

    def read(self, message: InputMessage, now: int) -> list[OutputMessage]:
        """Owe the deployment of a message to the receivers at a time (Unix ms), unless it is too old.

        Correlate reports a message that cannot be read, or whose time is in the future.
        """
        deployments = decode_contract(message.value, Deployment.read, "deployment", bytes_max=MEBIBYTE)
        if isinstance(deployments, Unreadable) or not self._receivers:
            return []
        deployment = deployments[0]
        is_old = now - deployment.timestamp > DEPLOYMENT_AGE_MAX_MS
        if is_old or deployment.timestamp - message.timestamp > AHEAD_MAX_MS:
            return []
        subjects = [one.subject for one in deployments if one.subject is not None]
        change = DeploymentChange(deployment=deployment, subjects=subjects)
        digest = blake2b(change.to_json(), digest_size=6).hexdigest()
        notice_id = f"deployment:{deployment.deployment_id}:{digest}"
        return self._notices.owe(notice_id, change, self._receivers, reasons.DEPLOYED, now)
