"""The digests of the configuration: each is decided once on each of its days, also after a restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.route import reasons
from pipeline.route.digest.digest_contents import build_digest
from pipeline.route.digest.digest_times import DigestTimes
from pipeline.route.notices import Notices
from pipeline.route.notification_log import NotificationLog
from pipeline.route.settings import DigestSettings, RouteSettings
from pipeline.state import PartStore
from pipeline.step import OutputMessage
from schemas.topics import DAY_MS


@dataclass(frozen=True, slots=True)
class DecidedDigest:
    """The last digest that was decided: its local day, and the time of the decision (Unix ms)."""

    day: date
    at: int


class Digests:
    """The digests, and which of them were decided.

    A digest begins at the first time that the step knows, so its first decision is the next one that is due. A digest
    that was missed is decided late, once, however many days were missed.

    Parameters
    ----------
    settings
        Digests and labels.
    log
        Incidents that the digests contain.
    notices
        Store of what is owed.
    store
        Store in which changed digests are marked.
    """

    def __init__(self, settings: RouteSettings, log: NotificationLog, notices: Notices, store: PartStore) -> None:
        self._digests = {digest.name: (digest, DigestTimes(digest)) for digest in settings.digests}
        self._label_rules = settings.label_rules
        self._log = log
        self._notices = notices
        self._store = store
        self._decided: dict[str, DecidedDigest] = {}

    def decide(self, now: int) -> list[OutputMessage]:
        """Owe the digests that are due at a time (Unix ms). Call it before anything else happens at this time.

        Returns
        -------
        list of Output
            The notices of digests that are not sent, because they are empty.
        """
        outputs: list[OutputMessage] = []
        for name, (digest, times) in self._digests.items():
            day, last = times.latest_day(now), self._decided.get(name)
            if last is None or now < last.at - DAY_MS:
                self._record(name, DecidedDigest(day, now))
            elif now < last.at:  # the clock has gone back a little, which must not repeat the digest
                self._record(name, DecidedDigest(last.day, now))
            elif day > last.day:
                self._record(name, DecidedDigest(day, now))
                outputs += self._owe(digest, day, last.at, now)
        return outputs

    def dump(self, name: str) -> dict[str, Any] | None:
        """Return the state of one digest, or None if it was removed from the settings."""
        last = self._decided.get(name)
        return None if last is None else {"day": last.day.isoformat(), "at": last.at}

    def load(self, name: str, state: Mapping[str, Any]) -> None:
        """Restore one digest from :meth:`dump`. A digest that was removed from the settings is forgotten."""
        if name in self._digests:
            self._decided[name] = DecidedDigest(date.fromisoformat(state["day"]), int(state["at"]))
        else:
            self._store.mark("digest", name)

    def _record(self, name: str, decided: DecidedDigest) -> None:
        self._decided[name] = decided
        self._store.mark("digest", name)

    def _owe(self, digest: DigestSettings, day: date, since: int, now: int) -> list[OutputMessage]:
        content = build_digest(digest, self._log.incidents(), self._label_rules, since, now)
        notice_id = f"digest:{digest.name}:{day.isoformat()}"
        receivers = tuple(dict.fromkeys(digest.receivers))
        if content.is_empty:
            return self._notices.suppress(notice_id, content, receivers, reasons.DIGEST_EMPTY, now)
        return self._notices.owe(notice_id, content, receivers, reasons.due_digest(day.isoformat()), now)
