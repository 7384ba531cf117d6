"""Wrong input of every kind, through the real command: one clear message, the right exit code,
no traceback, and whatever was finished before stays as it was."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from .conftest import HANHUA, Done, environment

RECIPE, INPUT, MODEL, MIXTURE, TRAINING, STORAGE, ARTIFACT, SERVE = 3, 4, 5, 6, 7, 8, 9, 11
USAGE = 2


def refused(done, code: int, *parts: str) -> None:
    """The call ended with this code and a message with these parts, and showed no traceback."""
    assert "Traceback" not in done.err + done.out, done.err
    assert done.code == code, f"exit code {done.code}\n{done.err}"
    message = done.err[done.err.index("error: ") :]
    for part in parts:
        assert part in message, f"{part!r} is not in:\n{message}"
    assert len(message.splitlines()) <= 8, f"too long:\n{message}"


# --- the command line -----------------------------------------------------------------------

COMMANDS = [
    (["rnu", "recipe.yaml"], USAGE, ["rnu"]),
    (["run"], USAGE, ["recipe"]),
    (["run", "recipe.yaml", "--utnil", "vocab"], USAGE, ["--utnil"]),
    (["run", "recipe.yaml", "--until", "vocabulary"], USAGE, ["--until", "vocabulary", "vocab"]),
    (["show", "."], USAGE, ["no run folder"]),
    (["report", "nowhere"], USAGE, ["nowhere"]),
    (["chat", "nowhere"], MODEL, ["nowhere"]),
    (["chat", "."], MODEL, ["do:"]),
    (["serve", "base", "--port", "700000"], SERVE, ["700000"]),
    (["serve", "base", "--port", "0", "--api-key-file", "absent.txt"], SERVE, ["absent.txt"]),
    (["init", "--base", "a/b", "--out", "recipe.yaml"], STORAGE, ["there already"]),
    (["run", "absent.yaml"], RECIPE, ["absent.yaml"]),
    (["run", "."], RECIPE, ["cannot be read"]),
    (["run", "recipe.yaml", "--set", "seed"], RECIPE, ["section.key=value"]),
    (["run", "recipe.yaml", "--set", "pretrain.lerning_rate=1"], RECIPE, ["learning_rate"]),
    (["plan", "recipe.yaml", "--set", "seed=often"], RECIPE, ["often"]),
    (
        ["plan", "recipe.yaml", "--set", "finetun.epochs=1"],
        RECIPE,
        ["where: --set finetun", "'finetune'"],
    ),
]


@pytest.mark.parametrize(("command", "code", "parts"), COMMANDS, ids=lambda v: str(v)[:40])
def test_command_line(project, command, code, parts):
    refused(project.call(*command), code, *parts)


def test_json_gives_the_error_as_an_object(project):
    done = project.call("run", "absent.yaml", "--json")
    refused(done, RECIPE, "absent.yaml")
    assert done.json["error"] == "RecipeError"
    assert done.json["exit_code"] == RECIPE
    assert done.json["do"]


def test_debug_shows_the_traceback(project):
    done = project.call("run", "absent.yaml", "--debug")
    assert done.code == RECIPE
    assert "Traceback" in done.err


def test_busy_port(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(project.call("serve", "base", "--port", str(port)), SERVE, str(port))


# --- the recipe -----------------------------------------------------------------------------

RECIPES = [
    ("name: small", "nmae: small", ["recipe.yaml:1", "did you mean 'name'"]),
    ("pretrain:", "pretrian:", ["did you mean 'pretrain'"]),
    ("learning_rate: 1e-3\n  batch_tokens: 512", "learning_rate: fast\n  batch_tokens: 512",
     ["recipe.yaml:", "fast"]),
    ("zh: 0.6, en: 0.4", "zh: 0.6, en: 0.6", ["shares", "1.2"]),
    ("budget_tokens: 6000", "budget_tokens: -6000", ["budget_tokens"]),
    ("seed: 5", "seed: 5\nseed: 6", ["given twice", "recipe.yaml:3"]),
    ("model: base", "model: ${NOT_SET_ANYWHERE}/base", ["NOT_SET_ANYWHERE"]),
    ("seed: 5", "seed: 5\n bad: [", ["not valid YAML", "recipe.yaml:3"]),
    ("add: 40", "add: 0", ["add"]),
    ("chatdata:", "machine2:", ["machine2"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "parts"), RECIPES, ids=lambda v: str(v)[:30])
def test_recipe(project, old, new, parts):
    project.edit(old, new)
    refused(project.call("run", "recipe.yaml"), RECIPE, *parts)


def test_recipe_in_another_encoding(project):
    project.recipe.write_bytes("seed: 1\nname: 汉化\n".encode("gb18030"))
    refused(project.call("run", "recipe.yaml"), RECIPE, "not in UTF-8", "recipe.yaml:2", "iconv")


def test_a_variable_in_braces_wants_quotes(project):
    project.edit("{path: zh.jsonl,", "{path: ${PWD}/zh.jsonl,")
    refused(project.call("run", "recipe.yaml"), RECIPE, "not valid YAML", "put quotes around")


def test_empty_recipe(project):
    project.recipe.write_text("")
    refused(project.call("run", "recipe.yaml"), RECIPE, "empty")


# --- the texts ------------------------------------------------------------------------------


def cut_gzip(folder: Path) -> str:
    whole = gzip.compress(b"".join(os.urandom(20).hex().encode() + b"\n" for _ in range(2000)))
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return "cut.jsonl.gz"


def cut_zstd(folder: Path) -> str:
    raw = b"".join(
        json.dumps({"text": os.urandom(30).hex()}).encode() + b"\n" for _ in range(20000)
    )
    whole = zstandard.compress(raw)
    (folder / "cut.jsonl.zst").write_bytes(whole[: len(whole) // 2])
    return "cut.jsonl.zst"


def write(name: str, content: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return name

    return make


TEXTS = [
    ("missing", lambda folder: "absent.jsonl", ["corpus.sources[0].path", "absent.jsonl"]),
    ("no match", lambda folder: "absent/*.jsonl", ["absent/*.jsonl"]),
    ("empty", write("empty.jsonl", b""), ["zh"]),
    ("truncated gzip", cut_gzip, ["cut.jsonl.gz"]),
    ("truncated zstd", cut_zstd, ["cut.jsonl.zst"]),
    ("not gzip at all", write("fake.jsonl.gz", b"plain text\n"), ["fake.jsonl.gz"]),
    ("binary", write("binary.txt", bytes(range(256)) * 64), ["binary.txt"]),
    ("no text field", write("fields.jsonl", b'{"title": "a"}\n' * 5), ["fields.jsonl"]),
    ("broken records only", write("broken.jsonl", b'{"text": "a\n' * 5), ["zh"]),
    ("unknown format", write("table.xlsx", b"PK\x03\x04" * 9), ["table.xlsx"]),
    ("broken parquet", write("broken.parquet", b"PAR1" + b"x" * 99), ["broken.parquet"]),
]


@pytest.mark.parametrize(("name", "make", "parts"), TEXTS, ids=[row[0] for row in TEXTS])
def test_texts(project, name, make, parts):
    project.edit("path: zh.jsonl", f"path: {make(project.folder)}")
    done = project.call("run", "recipe.yaml", "--until", "corpus")
    refused(done, INPUT, *parts)


def test_nothing_left_after_cleaning(project):
    project.edit("min_chars: 5", "min_chars: 50000")
    refused(project.call("run", "recipe.yaml", "--until", "corpus"), INPUT, "too_short")


def test_unknown_licence(project):
    project.edit("language: zh, licence: CC0", "language: zh")
    refused(project.call("plan", "recipe.yaml"), INPUT, "corpus.sources[0].licence")
    refused(project.call("run", "recipe.yaml", "--until", "corpus"), INPUT, "licence")
    assert not list((project.folder / "runs").glob("*/base-*"))  # before anything was fetched
    project.edit("corpus:", "corpus:\n  allow_unknown_licence: true")
    done = project.call("plan", "recipe.yaml")
    assert done.code == 0, done.err


def test_missing_questions_name_the_key_that_the_recipe_has(project):
    tasks = "--set=eval.tasks=[{name: cmmlu, path: nowhere}]"
    refused(project.call("plan", "recipe.yaml", tasks), INPUT, "where: eval.tasks[0].path")


# --- the base model -------------------------------------------------------------------------


def break_config(base: Path, **changes: object) -> None:
    path = base / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut_weights(base: Path) -> None:
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-500])


MODELS = [
    ("missing", lambda base: shutil.rmtree(base), ["base"]),
    ("empty folder", lambda base: [p.unlink() for p in base.iterdir()], ["base"]),
    ("no config", lambda base: (base / "config.json").unlink(), ["config.json"]),
    ("no tokenizer", lambda base: (base / "tokenizer.model").unlink(), ["tokenizer"]),
    ("no weights", lambda base: (base / "model.safetensors").unlink(), ["weights"]),
    ("cut weights", cut_weights, ["model.safetensors"]),
    ("other shapes", lambda base: break_config(base, hidden_size=48), ["[320, 48]"]),
    ("broken config", lambda base: (base / "config.json").write_text("{"), ["config.json"]),
    ("unknown class", lambda base: break_config(base, model_type="alien"), ["alien"]),
    ("broken tokenizer", lambda base: (base / "tokenizer.model").write_bytes(b"no"),
     ["tokenizer.model"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "harm", "parts"), MODELS, ids=[row[0] for row in MODELS])
def test_base_model(project, name, harm, parts):
    harm(project.folder / "base")
    code = INPUT if name in ("missing", "empty folder") else MODEL
    done = project.call("run", "recipe.yaml", "--until", "base")
    assert done.code in (code, MODEL), done.err
    refused(done, done.code, *parts)


def test_a_template_that_the_base_cannot_write_is_refused_before_training(project):
    done = project.call("run", "recipe.yaml", "--set", "chatdata.template=chatml")
    refused(done, MODEL, "lacks tokens of the chat template chatml", "<|im_start|>")
    assert {path.name.split("-")[0] for path in project.folder.glob("runs/small/*-*")} == {"base"}


def test_hub_out_of_reach(project):
    project.edit("model: base", "model: nobody/nothing-here")
    refused(project.call("run", "recipe.yaml", "--until", "base"), MODEL, "nobody/nothing-here")


# --- later stages: what was finished stays --------------------------------------------------


def state(project) -> dict[str, str]:
    run = project.folder / "runs/small"
    return {p.name: (p / "record.json").read_text() for p in run.glob("*-*") if p.is_dir()}


LATER = [
    ("share", ["tokens.shares={zh: 0.99, en: 0.01}", "tokens.budget_tokens=400000"], MIXTURE,
     ["not enough zh", "max_epochs"]),
    ("language", ["tokens.shares={zh: 0.5, ja: 0.5}"], MIXTURE, ["ja"]),
    ("chat share", ["chatdata.shares={zh: 0.5, fr: 0.5}"], MIXTURE, ["fr"]),
    ("chat file", ["chatdata.sources.0.path=absent.json"], INPUT, ["absent.json"]),
    ("loss", ["pretrain.learning_rate=1e30", "pretrain.clip=1e30"], TRAINING, ["learning_rate"]),
    ("vocab", ["vocab.add=200000"], INPUT, ["vocab.add"]),
    ("questions", ["eval.tasks.0.path=zh.jsonl"], INPUT, ["zh.jsonl"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sets", "code", "parts"), LATER, ids=[row[0] for row in LATER])
def test_later_stages(copied, name, sets, code, parts):
    project = copied()
    before = state(project)
    options = [word for value in sets for word in ("--set", value)]
    refused(project.call("run", "recipe.yaml", *options), code, *parts)
    after = state(project)
    assert {key: after[key] for key in before} == before
    assert project.call("run", "recipe.yaml", "--json").json["complete"]


@pytest.mark.parametrize(
    ("content", "parts"),
    [(b'[{"instruction": "a", "output": "b"},', ["chat.json:1"]),
     (b'[{"colour": "red"}]', ["chat.json"]), (b"[]", ["chat.json"])],
    ids=["cut", "unknown schema", "empty"],
)  # fmt: skip
def test_chat_files(project, content, parts):
    (project.folder / "chat.json").write_bytes(content)
    done = project.call("run", "recipe.yaml", "--until", "chatdata", "--set", "pretrain=null",
                        "--set", "tokens=null", "--set", "vocab=null",
                        "--set", "expand=null")  # fmt: skip
    refused(done, INPUT, *parts)


def test_artifact_that_was_cut(copied):
    project = copied()
    path = next((project.folder / "runs/small").glob("pretrain-*/model/model.safetensors"))
    path.write_bytes(path.read_bytes()[:1000])
    refused(project.call("run", "recipe.yaml"), ARTIFACT, "delete the folder pretrain-")
    shutil.rmtree(path.parents[1])
    assert project.call("run", "recipe.yaml", "--json").json["complete"]


def test_broken_record(copied):
    project = copied()
    path = next((project.folder / "runs/small").glob("vocab-*/record.json"))
    path.write_text("{")
    refused(project.call("run", "recipe.yaml"), ARTIFACT, "record.json")


# --- the disk -------------------------------------------------------------------------------


def test_runs_is_a_file(project):
    refused(project.call("run", "recipe.yaml", "--runs", "zh.jsonl"), STORAGE, "zh.jsonl")


def test_no_permission(project):
    """Root may write anywhere, so as root the command runs without that right."""
    (project.folder / "locked").mkdir(mode=0o555)
    command = [HANHUA, "run", "recipe.yaml", "--runs", "locked/runs"]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv to give up root's right to write anywhere")
        without = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *command]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True,
                          env=environment(), timeout=120, check=False)  # fmt: skip
    refused(Done(done.returncode, done.stdout, done.stderr), STORAGE, "No permission", "locked")


def test_full_disk(project, tmp_path: Path):
    small = tmp_path / "small-disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        done = project.call("run", "recipe.yaml", "--runs", str(small))
        refused(done, STORAGE, "disk is full", "finished stages are kept")
        for path in (small / "small").glob("*-*"):
            assert (path / "record.json").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)
