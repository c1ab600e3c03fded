"""Functions and classes that a lesson defines, importable by tests without running the lesson."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat

CONSTANT = re.compile(r"[A-Z]+_?[A-Z][A-Z0-9_]*")
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@functools.cache
def lesson_code(name: str) -> SimpleNamespace:
    """Run the imports and the top-level definitions of lesson ``name`` (``"01_perceptron"``), nothing else.

    Constants in capitals (``EPOCHS``, not arrays such as ``X`` or ``W1``) are kept as well, because
    definitions use them. Of two definitions with one
    name the later wins, as in the notebook.
    """
    (path,) = NOTEBOOKS.glob(f"*/{name}.ipynb")
    wanted: list[ast.stmt] = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        source = "\n".join(
            "" if line.lstrip().startswith(("%", "!")) else line for line in cell.source.split("\n")
        )
        try:
            tree = ast.parse(source)
        except SyntaxError:  # the set-up cell is empty once its magic is gone
            continue
        for node in tree.body:
            constant = isinstance(node, ast.Assign) and all(
                isinstance(t, ast.Name) and CONSTANT.fullmatch(t.id) for t in node.targets
            )
            if constant or isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)):
                wanted.append(node)
    namespace: dict[str, object] = {"__name__": f"lesson_{name}"}
    module = ast.Module(body=wanted, type_ignores=[])
    exec(compile(module, str(path), "exec"), namespace)
    return SimpleNamespace(**{k: v for k, v in namespace.items() if not k.startswith("__")})
