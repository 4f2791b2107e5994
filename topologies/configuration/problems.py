"""Problems of a configuration, as one line per error of pydantic with the nearest known key."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pipeline.wording import similar_name

KEYS_NAMED_MAX = 12
"""Maximum number of known keys that a message lists if no key is similar."""

_REQUIRED_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "item"),
    "too_long": ("at most", "max_length", "item"),
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
}

_DESTINATION = "it no longer exists: use console = true, or a table such as webhook = { url = ... }"
REMOVED_KEYS = {
    "route.receivers.kind": _DESTINATION,
    "route.receivers.url": _DESTINATION,
    "route.receivers.attempts_max": "it no longer exists: remove it, because attempts go on until route.receivers.give_up_after_s",
}
"""Advice for keys of earlier versions, by path."""


def format_problem(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Format an error of pydantic as one line: the path of the key, the problem and the solution.

    The line never contains a string value, because the value may be a secret.
    """
    path = format_key_path(detail["loc"])
    message = _message(model, detail)
    return f"{path}: {message}" if path else message


def _message(model: type[BaseModel], detail: ErrorDetails) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        return f"unknown key{_suggest_key(model, detail['loc'])}"
    if kind == "missing":
        return "required key is missing; add it"
    if kind in _REQUIRED_TYPES:
        return f"must be {_REQUIRED_TYPES[kind]}, not {_describe_value(value)}"
    if kind in _BOUNDS:
        bound, name = _BOUNDS[kind]
        return f"must be {bound} {context[name]:g}, not {value}"
    if kind in _LENGTHS:
        bound, name, noun = _LENGTHS[kind]
        limit, actual = context[name], context.get("actual_length", len(value))
        return f"must have {bound} {limit} {noun}{'' if limit == 1 else 's'}, not {actual}"
    if kind == "literal_error":
        return f"must be one of {context['expected'].replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch":
        return f"must match the pattern {context['pattern']}"
    return str(context["error"]) if kind == "value_error" else detail["msg"][:1].lower() + detail["msg"][1:]


def format_key_path(location: tuple[int | str, ...]) -> str:
    """Format the location of a key in the file.

    >>> format_key_path(("route", "routes", 0, "name"))
    'route.routes[0].name'
    """
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def known_keys(model: type[BaseModel], prefix: str = "") -> dict[str, type[BaseModel] | None]:
    """Return all valid key paths, without list indexes, and their models: None for a key that is not a table."""
    keys: dict[str, type[BaseModel] | None] = {}
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = _find_model(field.annotation)
        keys[path] = inner
        # A route may contain routes with the same keys. Such keys appear once.
        if inner is not None and inner is not model:
            keys.update(known_keys(inner, f"{path}."))
    return keys


def _suggest_key(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    names = [part for part in location if isinstance(part, str)]
    if (removed := REMOVED_KEYS.get(".".join(names))) is not None:
        return f"; {removed}"
    table: type[BaseModel] = model
    for name in names[:-1]:
        table = known_keys(table).get(name) or table
    siblings = [field.alias or name for name, field in table.model_fields.items()]
    if near := similar_name(names[-1], siblings):
        return f"; did you mean {format_key_path((*location[:-1], near))}?"
    paths_by_name = {path.rpartition(".")[2]: path for path in reversed(known_keys(model))}
    if near := similar_name(names[-1], paths_by_name):
        return f"; did you mean {paths_by_name[near]}?"
    shown = ", ".join(siblings[:KEYS_NAMED_MAX]) + (", ..." if len(siblings) > KEYS_NAMED_MAX else "")
    return f"; known keys are {shown}"


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _find_model(argument)) is not None:
            return found
    return None


def _describe_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "nothing"


def changed_keys(default: BaseModel, given: BaseModel, prefix: str = "") -> list[str]:
    """Return the paths of the settings that differ from the defaults."""
    keys = []
    for name, field in type(default).model_fields.items():
        old, new = getattr(default, name), getattr(given, name)
        path = f"{prefix}{field.alias or name}"
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            keys += changed_keys(old, new, f"{path}.")
        elif old != new:
            keys.append(path)
    return keys
