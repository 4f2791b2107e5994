"""The table of severity: rules and moves as they are read from ``rules.toml``, and put together with those of one's own."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.correlate.severity.adjustment import BlastRadius, SeverityAdjustment
from pipeline.correlate.severity.rule import DriftConditions, SeverityRule
from pipeline.wording import did_you_mean

TableRow = TypeVar("TableRow", SeverityRule, SeverityAdjustment)


@dataclass(frozen=True, slots=True)
class SeverityTable:
    """Rules, asked in order, and moves."""

    rules: tuple[SeverityRule, ...] = ()
    moves: tuple[SeverityAdjustment, ...] = ()

    def extended(self, rules: Sequence[SeverityRule], moves: Sequence[SeverityAdjustment]) -> "SeverityTable":
        """With further rules, asked before its own, and further moves; one that is called like one of its own replaces that."""
        given = {move.name for move in moves}
        kept = (move for move in self.moves if move.name not in given)
        return SeverityTable((*rules, *self.rules), (*moves, *kept))


def default_table() -> SeverityTable:
    """The table that comes with the product."""
    return read_table(files("pipeline.correlate.severity").joinpath("rules.toml").read_text("utf-8"), "rules.toml")


def read_table(text: str, source: str) -> SeverityTable:
    """Read a table: ``[[rule]]``, at least one, and ``[[move]]``.

    Raises
    ------
    ValueError
        With one line for each problem, naming the row; an unknown key names the nearest known one.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"{source}: not TOML: {problem}") from None
    rules, problems = _rows(content.pop("rule", []), SeverityRule, "rule", source)
    moves, further = _rows(content.pop("move", []), SeverityAdjustment, "move", source)
    problems += further
    problems += [f'{source}: unknown key "{key}": {did_you_mean(key, ("rule", "move"))}' for key in content]
    if not rules and not problems:
        problems.append(f"{source}: no rules: each is a table [[rule]]")
    if problems:
        raise ValueError("\n".join(problems))
    return SeverityTable(rules, moves)


def _rows(rows: Any, model: type[TableRow], kind: str, source: str) -> tuple[tuple[TableRow, ...], list[str]]:
    if not isinstance(rows, list):
        return (), [f"{source}: no {kind}s: each is a table [[{kind}]]"]
    read: list[TableRow] = []
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            read.append(model.model_validate(row))
        except ValidationError as problem:
            problems += [f"{source}: {kind} {number}{_called(row)}: {line}" for line in _lines(problem, model)]
    names = [each.name for each in read]
    twice = sorted({name for name in names if names.count(name) > 1})
    return tuple(read), problems + [f'{source}: two {kind}s are called "{name}"' for name in twice]


def _called(row: Any) -> str:
    return f' ("{row["name"]}")' if isinstance(row, dict) and isinstance(row.get("name"), str) else ""


def _lines(problem: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    inner: type[BaseModel] = DriftConditions if model is SeverityRule else BlastRadius
    for error in problem.errors(include_url=False):
        path = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            known = inner.model_fields if "." in path else model.model_fields
            yield f'unknown key "{path}": {did_you_mean(str(error["loc"][-1]), known)}'
        elif error["type"] == "missing":
            yield f'"{path}" is missing'
        else:
            yield f"{path}: {error['msg'].removeprefix('Value error, ')}" if path else error["msg"]
