import pytest

from pipeline.route.labels import INCIDENT_LABELS
from pipeline.route.obstacles.silences import Silence, Silences
from pipeline.state import PartKind, PartStore
from schemas.command import Command
from tests.pipeline.route.samples import STARTED

BOT = {"subject": ("support-bot",)}


def command(**changes) -> Command:
    fields = {
        "command_id": "silence-1",
        "at": STARTED,
        "author": "ana",
        "action": "silence",
        "matchers": ['subject="support-bot"'],
        "until": STARTED + 1000,
    }
    return Command(**(fields | changes))


def silence(**changes) -> Silence:
    return Silence.from_command(command(**changes), INCIDENT_LABELS)


def store(limit: int, *known_labels: str) -> Silences:
    return Silences(limit, PartStore([PartKind("silence")]), [*INCIDENT_LABELS, *known_labels])


def test_a_silence_covers_from_its_beginning_until_just_before_its_end():
    covered = silence()
    assert [covered.covers(BOT, STARTED + offset) for offset in (-1, 0, 999, 1000)] == [False, True, True, False]


def test_a_silence_does_not_cover_other_subjects():
    assert not silence().covers({"subject": ("search",)}, STARTED)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"until": None}, "needs an end"),
        ({"until": STARTED}, "must end after it begins"),
        ({"matchers": []}, "would silence everything"),
        ({"matchers": ["nonsense"]}, "invalid matcher"),
        ({"matchers": ["subjct=a"]}, "unknown label 'subjct'; did you mean \"subject\""),
    ],
)
def test_an_invalid_silence_is_refused_with_the_reason(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        silence(**changes)


def test_of_several_the_one_that_lasts_longest_is_named():
    silences = store(10)
    silences.add(command(command_id="short"))
    silences.add(command(command_id="long", until=STARTED + 5000))
    silences.add(command(command_id="other", until=STARTED + 9000, matchers=['subject="search"']))
    covering = silences.find(BOT, STARTED + 10)
    assert covering is not None
    assert covering.silence_id == "long"
    assert silences.find(BOT, STARTED + 5000) is None


def test_beyond_the_limit_the_one_that_ends_first_goes():
    silences = store(2)
    for number, length in enumerate((3000, 1000, 2000)):
        silences.add(command(command_id=f"silence-{number}", until=STARTED + length))
    assert silences.dump("silence-1") is None
    assert silences.dump("silence-0") is not None
    assert silences.dump("silence-2") is not None


def test_a_silence_of_the_same_id_is_replaced():
    silences = store(2)
    silences.add(command())
    silences.add(command(until=STARTED + 10))
    assert silences.find(BOT, STARTED + 500) is None


def test_a_silence_may_match_labels_of_ones_own_until_they_are_removed():
    silences = store(2, "team")
    silences.add(command(matchers=['team!="search"']))
    state = silences.dump("silence-1")
    assert state is not None
    assert silences.find(BOT, STARTED) is not None
    with pytest.raises(ValueError, match="unknown label 'team'"):
        store(2).load(state)
