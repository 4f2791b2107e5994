"""Cases: a table of them as a file, each a row ``[[case]]`` that says what happens and what is right."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from load.errors import LoadError
from pipeline.wording import one_line

Case = TypeVar("Case", bound=BaseModel)


def read_cases(file: Path, model: type[Case], what: str) -> list[Case]:
    """The cases of a file, which holds ``what``.

    Raises
    ------
    LoadError
        Naming the file and what is wrong in it.
    """
    try:
        return [model.model_validate(row) for row in tomllib.loads(file.read_text("utf-8")).get("case", [])]
    except tomllib.TOMLDecodeError as error:
        raise LoadError(f"{file} holds no {what}: {error}") from error
    except ValidationError as error:
        raise LoadError(f"{file} has an invalid case: {one_line(error)}") from error
