"""The severity table: rules and adjustments, read from ``rules.toml`` and extended by the configuration."""

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
    """Severity rules, evaluated in order, and severity adjustments."""

    rules: tuple[SeverityRule, ...] = ()
    adjustments: tuple[SeverityAdjustment, ...] = ()

    @classmethod
    def default(cls) -> "SeverityTable":
        """Return the built-in table."""
        return cls.read(files("pipeline.correlate.severity").joinpath("rules.toml").read_text("utf-8"), "rules.toml")

    @classmethod
    def read(cls, text: str, source: str) -> "SeverityTable":
        """Read a table in TOML, with at least one ``[[rule]]`` and any number of ``[[adjustment]]`` tables.

        Raises
        ------
        ValueError
            If the table is invalid. The message has one line per problem, with the number of the row. For an unknown
            key, the line contains the most similar known key.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise ValueError(f"{source}: not TOML: {problem}") from None
        rules, problems = _read_rows(content.pop("rule", []), SeverityRule, "rule", source)
        adjustments, more_problems = _read_rows(content.pop("adjustment", []), SeverityAdjustment, "adjustment", source)
        problems += more_problems
        problems += [f'{source}: unknown key "{key}"; {did_you_mean(key, ("rule", "adjustment"))}' for key in content]
        if not rules and not problems:
            problems.append(f"{source}: no rules; write each as a table [[rule]]")
        if problems:
            raise ValueError("\n".join(problems))
        return cls(rules, adjustments)

    def extend(self, rules: Sequence[SeverityRule], adjustments: Sequence[SeverityAdjustment]) -> "SeverityTable":
        """Return an extended table. Added rules come first, and added adjustments replace those with the same name."""
        names = {adjustment.name for adjustment in adjustments}
        remaining = (adjustment for adjustment in self.adjustments if adjustment.name not in names)
        return SeverityTable((*rules, *self.rules), (*adjustments, *remaining))


def _read_rows(rows: Any, model: type[TableRow], kind: str, source: str) -> tuple[tuple[TableRow, ...], list[str]]:
    if not isinstance(rows, list):
        return (), [f"{source}: no {kind}s; write each as a table [[{kind}]]"]
    read: list[TableRow] = []
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            read.append(model.model_validate(row))
        except ValidationError as problem:
            problems += [f"{source}: {kind} {number}{_quote_name(row)}: {line}" for line in _problems(problem, model)]
    names = [row.name for row in read]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return tuple(read), problems + [f'{source}: two {kind}s have the name "{name}"' for name in repeated]


def _quote_name(row: Any) -> str:
    return f' ("{row["name"]}")' if isinstance(row, dict) and isinstance(row.get("name"), str) else ""


def _problems(problem: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    inner: type[BaseModel] = DriftConditions if model is SeverityRule else BlastRadius
    for error in problem.errors(include_url=False):
        path = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            known = inner.model_fields if "." in path else model.model_fields
            yield f'unknown key "{path}"; {did_you_mean(str(error["loc"][-1]), known)}'
        elif error["type"] == "missing":
            yield f'"{path}" is missing'
        else:
            yield f"{path}: {error['msg'].removeprefix('Value error, ')}" if path else error["msg"]
