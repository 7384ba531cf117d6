"""What the documents say is what the code does.

Run as a script, this file writes docs/source.md again from the modules' own first lines.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "hanhua"
SOURCE_PAGE = REPOSITORY / "docs" / "source.md"
READMES = (REPOSITORY / "README.md", REPOSITORY / "README.zh.md")
GUIDES = (*READMES, *sorted((REPOSITORY / "docs" / "guides").glob("*.md")))
PAGES = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md")))
MADE_BY_A_RUN = {"docs/report.png", "docs/LOG.md"}
"""Files that pages name and that come from a measured run, or fill as work goes on."""

HEAD = """\
# Every source file in a phrase

Written by `python tests/test_docs.py` from the first line of each file; a test holds it to them.
Folders stand in the order in which data flows; a module imports only from those above it.
"""


def phrase(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc, f"{path} has no docstring: open it with what it does"
    return " ".join(doc.split("\n\n")[0].split())


def folders() -> list[str]:
    """The packages in import order, as the README's tree lists them."""
    tree = READMES[0].read_text(encoding="utf-8").split("src/hanhua/\n")[1].split("```")[0]
    return re.findall(r"^  (\w+)(?:/|\.py) ", tree, re.MULTILINE)


def source_page() -> str:
    parts = [HEAD]
    for name in folders():
        place = PACKAGE / name
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        title = f"## {name}/" if place.is_dir() else f"## {name}.py"
        parts.append(f"\n{title}\n\n" + "".join(map(_line, files)))
    return "".join(parts)


def _line(path: Path) -> str:
    if path.name == "__init__.py" and path.parent.parent != PACKAGE:
        return ""
    name = path.relative_to(PACKAGE).as_posix()
    if path.name == "__init__.py":
        return f"{phrase(path)}\n\n"
    return f"- `{name}`: {phrase(path)}\n"


def test_source_page_is_the_source() -> None:
    hint = "run: python tests/test_docs.py"
    assert SOURCE_PAGE.read_text(encoding="utf-8") == source_page(), hint


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_readme_tree_is_the_tree(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    tree = text.split("src/hanhua/\n")[1].split("```")[0]
    listed = set(re.findall(r"^  (\w+(?:/|\.py)) ", tree, re.MULTILINE))
    there = {f"{p.name}/" for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    there |= {p.name for p in PACKAGE.glob("*.py") if not p.name.startswith("__")}
    assert listed == there
    assert len(there) >= 15
    top = re.findall(r"^(\w+)/ ", tree, re.MULTILINE)
    assert top
    assert all((REPOSITORY / name).is_dir() for name in top)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_exit_codes_are_those_of_the_errors(readme: Path) -> None:
    from hanhua.core import errors

    rows = re.findall(r"^\| (\d+) \| (\w*)", readme.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name: int(code) for code, name in rows if name}
    kinds = [
        e for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.HanhuaError) and e is not errors.HanhuaError
    ]  # fmt: skip
    assert listed == {kind.__name__: kind.exit_code for kind in kinds}
    assert len(listed) >= 10
    assert {int(code) for code, name in rows if not name} == {0, errors.HanhuaError.exit_code, 130}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_commands_are_those_of_the_command_line(readme: Path) -> None:
    from hanhua.cli import (  # noqa: I001
        app, chatdata, compare, corpus, export, merge, mix, models, quantise, runs, study, vocab,
    )  # fmt: skip
    from hanhua.cli import eval as measure

    assert chatdata
    assert compare
    assert measure
    assert corpus
    assert export
    assert quantise
    assert merge
    assert mix
    assert models
    assert runs
    there = {c.name or c.callback.__name__ for c in app.registered_commands}
    there |= {f"vocab {c.name or c.callback.__name__}" for c in vocab.vocab.registered_commands}
    there |= {f"study {c.name or c.callback.__name__}" for c in study.study.registered_commands}
    assert there >= {"vocab extend", "study scratch"}
    listed = r"^\| `hanhua ((?:vocab |study )?\w+)"
    rows = re.findall(listed, readme.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == there
    assert len(rows) == len(there)


def recipes_in_pages() -> list[tuple[str, str]]:
    found = []
    for page in GUIDES:
        blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        found += [(f"{page.name}-{i}", block) for i, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize(("name", "text"), recipes_in_pages(), ids=lambda value: value[:20])
def test_recipes_in_pages_load(name: str, text: str, tmp_path: Path) -> None:
    from hanhua.recipe import load_recipe

    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.eval is not None
    assert recipe.walk(tmp_path).nodes[-1].stage.name == "export"


def recipe_files() -> list[Path]:
    return sorted((REPOSITORY / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", recipe_files(), ids=lambda path: path.name)
def test_recipes_load(path: Path) -> None:
    from hanhua.recipe import load_recipe

    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.eval is not None


def test_links_between_pages_hold() -> None:
    seen = 0
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            seen += 1
            target = (page.parent / link).resolve()
            name = target.relative_to(REPOSITORY).as_posix()
            assert target.exists() or name in MADE_BY_A_RUN, f"{page.name} links {link}"
    assert seen > 20


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=]", line)[0] for line in project["dependencies"]]
    extras = project["optional-dependencies"]
    page = (REPOSITORY / "docs" / "adr" / "0002-dependencies.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([\w-]+) \|", page, re.MULTILINE)
    assert set(listed) - {"Package"} == set(names)
    assert all(f"`{extra}`" in page for extra in extras)


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (REPOSITORY / "docs" / "adr").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        text = (REPOSITORY / "docs" / "adr" / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {int(name[:4])}. ")


def test_guides_name_only_keys_that_exist() -> None:
    """Every ``section.key`` in the pages is a key of the recipe."""
    from hanhua.recipe import Recipe

    keys, unknown = 0, []
    for page in (*PAGES,):
        for section, key in re.findall(
            r"`(?:--set )?([a-z]+)\.([a-z_]+)(?:=[^`]*)?`", page.read_text(encoding="utf-8")
        ):
            if section not in Recipe.model_fields or key in ("json", "jsonl", "md", "py"):
                continue
            keys += 1
            kinds = [Recipe.model_fields[section].annotation]
            kinds += list(getattr(kinds[0], "__args__", ()))
            if not any(key in getattr(kind, "model_fields", {}) for kind in kinds):
                unknown.append(f"{page.name}: {section}.{key}")
    assert not unknown
    assert keys > 10


if __name__ == "__main__":
    SOURCE_PAGE.write_text(source_page(), encoding="utf-8")
    sys.stdout.write(f"wrote {SOURCE_PAGE.relative_to(REPOSITORY)}\n")
