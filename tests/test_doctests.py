"""The examples in the documentation of every module are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(parent).with_suffix("").parts)
    for parent, root in (
        *((ROOT, name) for name in ("schemas", "pipeline", "topologies", "load")),
        (ROOT / "client", "driftwire_client"),
    )
    for path in (parent / root).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8") and path.name != "__init__.py"
)


def test_there_are_modules_with_examples():
    assert "pipeline.wording" in MODULES or "pipeline.codec" in MODULES


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
