"""A small project on disk (texts, instructions, questions, a tiny LLaMA) and the real command."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from warm import WARM, Done

HANHUA = str(Path(sys.executable).with_name("hanhua"))

RECIPE = """\
name: small
seed: 5
base:
  model: base
corpus:
  sources:
    - {path: zh.jsonl, language: zh, licence: CC0}
    - {path: en.jsonl, language: en, licence: CC0}
  held_out_docs: 8
  min_chars: 5
  dedup: exact          # the sentences are made from few words
vocab:
  add: 40
expand: {}
tokens:
  seq_len_tokens: 64
  budget_tokens: 6000
  shares: {zh: 0.6, en: 0.4}
  max_epochs: 8.0
  tolerance: 0.03
pretrain:
  learning_rate: 1e-3
  batch_tokens: 512
chatdata:
  sources:
    - {path: chat.json, licence: CC0}
  held_out: 4
finetune:
  learning_rate: 1e-3
  seq_len_tokens: 64
  batch_tokens: 256
eval:
  bits_per_byte: {max_docs: 8}
  drift: {docs: 4, samples: 2, sample_tokens: 16}
  tasks:
    - {name: worlds, path: questions.jsonl}
  prompts: {zh: [你好], en: [Hello]}
export: {}
machine: {threads: 1}
"""


@dataclass(frozen=True)
class Project:
    """A folder with a recipe in which the command runs."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe's path."""
        return self.folder / "recipe.yaml"

    def edit(self, old: str, new: str) -> None:
        """Change the recipe; the old text must be there."""
        text = self.recipe.read_text(encoding="utf-8")
        assert old in text, f"the recipe holds no {old!r}"
        self.recipe.write_text(text.replace(old, new), encoding="utf-8")

    def start(self, *arguments: str, **options: object) -> subprocess.Popen:
        """Start the command and go on."""
        return subprocess.Popen(
            [HANHUA, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment(), **options,
        )  # fmt: skip

    def call(self, *arguments: str, timeout_s: float = 300, env: dict | None = None) -> Done:
        """Run the command to its end."""
        return WARM.call([*arguments], self.folder, {**environment(), **(env or {})}, timeout_s)


def environment() -> dict[str, str]:
    """No network, one thread, no colours."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
            "COLUMNS": "200"}  # fmt: skip


def write_texts(folder: Path, sentences: dict[str, list[str]]) -> None:
    random_ = random.Random(11)
    for language, lines in sentences.items():
        with (folder / f"{language}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(160):
                join = "" if language == "zh" else " "
                text = join.join(random_.sample(lines, 4))
                file.write(json.dumps({"id": f"{language}/{number}", "text": text},
                                      ensure_ascii=False) + "\n")  # fmt: skip
    chat = [
        {"instruction": f"{number}号说了什么？", "input": "",
         "output": random_.choice(sentences["zh"])}
        for number in range(30)
    ] + [
        {"instruction": f"What did number {number} say?", "input": "",
         "output": random_.choice(sentences["en"])}
        for number in range(30)
    ]  # fmt: skip
    (folder / "chat.json").write_text(json.dumps(chat, ensure_ascii=False), encoding="utf-8")
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as file:
        for number in range(8):
            language = ("zh", "en")[number % 2]
            question = ("谁在市场？" if language == "zh" else "Who is at the market?") + str(number)
            file.write(json.dumps({"id": str(number), "question": question,
                                   "choices": ["Tom", "小明"], "answer": number % 2,
                                   "language": language, "kind": "who"},
                                  ensure_ascii=False) + "\n")  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, tiny_llama: Path, sentences: dict[str, list[str]]) -> Project:
    """A fresh small project."""
    return make_project(tmp_path / "project", tiny_llama, sentences)


def make_project(folder: Path, tiny_llama: Path, sentences: dict[str, list[str]]) -> Project:
    """Write everything a small walk needs."""
    folder.mkdir(parents=True)
    shutil.copytree(tiny_llama, folder / "base")
    write_texts(folder, sentences)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return Project(folder)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path, sentences: dict[str, list[str]]
) -> Project:
    """A small project whose whole walk was run once; tests must not change it."""
    found = make_project(tmp_path_factory.mktemp("finished") / "project", tiny_llama, sentences)
    done = found.call("run", "recipe.yaml", "--json", "--quiet")
    assert done.code == 0, done.err
    return found


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Callable[[], Project]:
    """A copy of the finished project that a test may break."""

    def copy() -> Project:
        folder = tmp_path / "copy"
        shutil.copytree(finished.folder, folder)
        return Project(folder)

    return copy
