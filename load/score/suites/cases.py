"""Files of cases: every table ``[[case]]`` contains an event and the correct answer."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from load.errors import LoadError


class CaseModel(BaseModel):
    """Base class of case models. Unknown keys are errors, and instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Case = TypeVar("Case", bound=CaseModel)


def read_cases(path: Path, model: type[Case]) -> list[Case]:
    """Read the cases of a file.

    Raises
    ------
    LoadError
        If the file is invalid. The message contains the file and its problems.
    """
    try:
        return [model.model_validate(row) for row in tomllib.loads(path.read_text("utf-8")).get("case", [])]
    except tomllib.TOMLDecodeError as error:
        raise LoadError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise LoadError(f"{path} has an invalid case: {problems}") from error
