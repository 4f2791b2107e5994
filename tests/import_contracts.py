"""A contract for import-linter: modules outside a room import only its face."""

import ast
from pathlib import Path
from typing import Any

from importlinter import Contract, ContractCheck, fields, output

ROOT = Path(__file__).parents[1]


def rooms(roots: list[str]) -> list[str]:
    """Return the dotted name of every package below the roots that contains no packages."""
    folders = {path.parent for root in roots for path in (ROOT / root).rglob("__init__.py")}
    inner = {folder for folder in folders if not any(other.parent == folder for other in folders)}
    return sorted(".".join(folder.relative_to(ROOT).parts) for folder in inner)


def face(room: str) -> list[str]:
    """Return the names in ``__all__`` of a room; empty without one."""
    tree = ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


class FaceContract(Contract):
    """Modules outside a room import its face only.

    Configuration: ``roots`` are the packages searched for rooms; ``without_face`` are rooms whose modules may be
    imported directly.
    """

    type_name = "face"
    roots = fields.ListField(subfield=fields.StringField())
    without_face = fields.ListField(subfield=fields.StringField())

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Find the imports that reach past a face."""
        del verbose
        found = []
        for room in rooms(self.roots):
            if room in self.without_face:
                continue
            public = {f"{room}.{name}" for name in face(room)}
            inside = {room, *graph.find_descendants(room)}
            for module in sorted(inside - {room} - public):
                found += [(importer, module) for importer in graph.find_modules_that_directly_import(module) - inside]
        return ContractCheck(kept=not found, metadata={"found": sorted(found)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import with what to do."""
        for importer, module in check.metadata["found"]:
            room = module.rpartition(".")[0]
            output.print_error(f"{importer} imports {module}: import it from {room}, or add it to the face of {room}")
