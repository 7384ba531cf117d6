"""The loader of compiled parts: one that an older source made counts as none, and says so."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hanhua
from hanhua.core.compiled import compiled

SOURCE = Path(hanhua.__file__).parent
STALE = """
import sys, types
import hanhua.model
older = types.ModuleType("hanhua.model._native")
for name in {there!r}:
    setattr(older, name, lambda *a: 1 / 0)
sys.modules["hanhua.model._native"] = older
import torch
from hanhua.model.within import can_attend
from hanhua.model.kernels import can_run
from hanhua.model.native import NATIVE
x = torch.zeros(1, 4, 16, dtype=torch.bfloat16)
print(NATIVE, can_run(x), can_attend(x, x, x, 1.0))
"""


@pytest.mark.parametrize("package", ["model", "text", "vocab"])
def test_every_part_that_is_called_is_looked_for(package):
    called = set()
    for path in SOURCE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if f"hanhua.{package}.native import NATIVE" in source:
            called |= set(re.findall(r"\bNATIVE\.(\w+)", source))
    assert called
    assert set(importlib.import_module(f"hanhua.{package}.native").USED) == called


def test_a_library_of_an_older_source_counts_as_none():
    used = importlib.import_module("hanhua.model.native").USED
    script = STALE.format(there=[name for name in used if name != "tiles"])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "False", "False"]
    said = [line for line in done.stderr.splitlines() if "hanhua.model._native" in line]
    assert len(said) == 1
    assert "tiles" in said[0]
    assert "make setup" in said[0]


def test_a_library_that_has_all_is_taken_and_one_that_is_not_there_is_none(capsys, monkeypatch):
    monkeypatch.delenv("HANHUA_PURE", raising=False)
    assert compiled("math", ("sqrt", "fma_or_not")) is None
    assert "fma_or_not" in capsys.readouterr().err
    assert compiled("math", ("sqrt",)).sqrt(4) == 2
    assert compiled("hanhua.no_such", ("sqrt",)) is None
    monkeypatch.setenv("HANHUA_PURE", "1")
    assert compiled("math", ("sqrt",)) is None
    assert capsys.readouterr().err == ""
