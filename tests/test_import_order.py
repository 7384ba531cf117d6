"""Modules import only from what stands to their left."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "hanhua"
ORDER = [
    "core", "text", "chat", "vocab", "tokens", "model", "eval", "train", "mix", "export",
    "serve", "report", "stages", "recipe", "demo", "cli",
]  # fmt: skip


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("hanhua.")} & set(ORDER)


def test_modules_import_only_to_the_left():
    wrong, seen = [], set()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if place in ("__init__", "__main__"):
            continue
        assert place in ORDER, f"{path} stands in no known package: give it a place in the order"
        for other in imported_packages(path):
            seen.add((place, other))
            if ORDER.index(other) > ORDER.index(place):
                wrong.append(f"{path.relative_to(SOURCE)} imports {other}")
    assert not wrong, wrong
    assert ("stages", "core") in seen
    assert ("cli", "recipe") in seen


def test_no_module_imports_torch_before_it_is_needed():
    """--help and plan stay fast: config, stages and cli modules import no heavy library."""
    heavy = {"torch", "transformers", "pyarrow", "matplotlib", "tokenizers", "fastapi", "numpy"}
    light = [*SOURCE.glob("*/config.py"), *SOURCE.glob("stages/*.py"), *SOURCE.glob("cli/*.py"),
             *SOURCE.glob("core/*.py"), SOURCE / "recipe.py"]  # fmt: skip
    assert len(light) > 20
    for path in light:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            assert not {name.split(".")[0] for name in names} & heavy, path
