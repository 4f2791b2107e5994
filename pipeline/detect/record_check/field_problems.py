"""Sentences about the fields that detect cannot use, for the commands that show them."""

from collections.abc import Iterable, Mapping

from pipeline.detect.fields import find_look_alike
from pipeline.wording import fault_phrase, record_count


def describe_bad_fields(bad_fields: Mapping[tuple[str, str], int]) -> list[str]:
    """Describe the values that could not be used, most frequent first.

    Parameters
    ----------
    bad_fields
        Number of values by field and reason.

    >>> describe_bad_fields({("output.length", "out_of_bounds"): 2, ("output.refused", "is_text"): 1204})
    ['output.refused is text in 1,204 records', 'output.length is out of bounds in 2 records']
    """
    ordered = sorted(bad_fields.items(), key=lambda item: (-item[1], item[0]))
    return [f"{field} {fault_phrase(reason)} in {record_count(count)}" for (field, reason), count in ordered]


def describe_look_alikes(look_alikes: Iterable[str]) -> list[str]:
    """Describe unknown fields that look like a known one.

    >>> describe_look_alikes(["output.refusal"])
    ['output.refusal is not a field of a record and is ignored: did you mean output.refused?']
    """
    return [
        f"{field} is not a field of a record and is ignored: did you mean {find_look_alike(field)}?"
        for field in sorted(look_alikes)
    ]


def describe_unknown_field(path: str) -> str:
    """Describe an unknown field, with the known field that it looks like.

    >>> describe_unknown_field("output.refusal"), describe_unknown_field("note")
    ('output.refusal (did you mean output.refused?)', 'note')
    """
    known = find_look_alike(path)
    return path if known is None else f"{path} (did you mean {known}?)"
