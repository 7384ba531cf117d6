"""Fewer bits, measured: each method on the demo's own trained model, gates, commands, the stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import hanhua.cli.export
import hanhua.cli.quantise
import hanhua.demo
from hanhua.cli import app
from hanhua.cli.export import history, plain_name
from hanhua.core.artifact import Artifact
from hanhua.core.errors import (
    DependencyError,
    GateError,
    HanhuaError,
    InputError,
    ModelError,
    RecipeError,
    StorageError,
    UsageError,
)
from hanhua.core.progress import Silent
from hanhua.core.runner import run as run_walk
from hanhua.export.calibration import calibration, row_counts
from hanhua.export.gptq import BITS, unpack
from hanhua.export.methods import METHODS, MethodName, parse_methods
from hanhua.export.push import Place, manifest
from hanhua.export.quality import Loss, broken
from hanhua.export.quantise import check_dense
from hanhua.export.quantise_text import table
from hanhua.model.load import load_tokenizer
from hanhua.recipe import load_recipe
from hanhua.text.document import Document

pytest.importorskip("gguf", reason='needs the extra: pip install "hanhua[gguf]"')
MODEL = Path(hanhua.demo.__path__[0]) / "data" / "tiny-en"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def texts(tmp_path_factory, sentences) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for language, lines in sentences.items():
        rows = [{"text": "".join(lines[i : i + 4])} for i in range(0, 20, 4)]
        (folder / f"{language}.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
    return folder


def call(*arguments: str | Path) -> dict:
    """The command in this process; its errors are raised."""
    found = CliRunner().invoke(app, [*map(str, arguments), "--json", "--quiet"])
    if found.exception:
        raise found.exception
    return json.loads(found.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def made(texts, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("made") / "q"
    found = call("quantise", MODEL, "--method", "q8_0,q4_0", "--out", out, "--no-speed",
                 "--text", f"zh={texts / 'zh.jsonl'}", "--text", f"en={texts / 'en.jsonl'}",
                 "--gate", "max_en_loss=0.5")  # fmt: skip
    return out, found


def test_each_method_is_measured_against_the_model(made):
    out, found = made
    rows = {row["method"]: row for row in found["rows"]}
    assert list(rows) == ["source", "q8_0", "q4_0"]
    for name in ("q8_0", "q4_0"):
        assert (out / name / f"model-{name}.gguf").stat().st_size == rows[name]["memory_bytes"]
        scores = json.loads((out / name / "proof" / "scores.json").read_text())
        assert scores["bits_per_byte"].keys() == {"zh", "en"}
        change = rows[name]["change"]["en"]
        assert change["low"] <= change["value"] <= change["high"]
        expected = rows[name]["bits_per_byte"]["en"] / rows["source"]["bits_per_byte"]["en"] - 1
        assert change["value"] == pytest.approx(expected, abs=1e-4)
        assert json.loads((out / name / "proof" / "samples.json").read_text())
    sizes = [rows[name]["bytes"] for name in ("q8_0", "q4_0")]
    assert sizes == sorted(sizes, reverse=True)
    assert abs(rows["q4_0"]["change"]["en"]["value"]) > abs(rows["q8_0"]["change"]["en"]["value"])
    assert sorted(p.name for p in out.iterdir()) == [
        "q4_0", "q8_0", "quantise.json", "source-proof",
    ]  # fmt: skip


def test_the_table_has_a_row_for_each(made):
    lines = table(made[1]["rows"]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["source", "q8_0", "q4_0"]
    assert "change zh" in lines[0]
    assert "–" in lines[1]


def test_what_loses_too_much_is_kept_aside(tmp_path):
    with pytest.raises(GateError, match="loses more than it may") as caught:
        call("quantise", MODEL, "--method", "q4_0", "--out", tmp_path / "q", "--no-speed",
             "--text", f"en={MODEL.parent / 'en.jsonl.gz'}", "--docs", "24",
             "--gate", "max_en_loss=0")  # fmt: skip
    assert "en bits per byte +" in str(caught.value.found)
    assert not (tmp_path / "q").exists()
    aside = tmp_path / "q.refused"
    assert {"model-q4_0.gguf", "quantise.json", "proof"} <= {p.name for p in aside.iterdir()}
    row = json.loads((aside / "quantise.json").read_text())["rows"][1]
    assert row["broken"]
    assert row["change"]["en"]["low"] > 0


@pytest.mark.parametrize(
    ("low", "limit", "refused"), [(0.01, 0.02, False), (0.021, 0.02, True), (-0.1, 0.0, False)]
)
def test_a_gate_closes_where_the_whole_interval_lies_beyond(low, limit, refused):
    loss = Loss("bits per byte", "zh", "loss", low + 0.01, low, low + 0.02, 9)
    drop = Loss("cmmlu", "zh", "drop", 0.5, 0.4, 0.6, 9)
    assert bool(broken([loss, drop], {"max_zh_loss": limit})) == refused
    assert len(broken([loss, drop], {"max_zh_drop": 0.1})) == 1


def test_a_gate_with_nothing_to_judge_by():
    with pytest.raises(RecipeError, match="nothing to judge"):
        broken([Loss("bits per byte", "zh", "loss", 0, 0, 0, 9)], {"max_en_loss": 0.1})


METHODS_WITHOUT_PACKAGE = [("int8", "torchao", "int8"), ("nf4", "bitsandbytes", "gpu"),
                           ("gptq-int4", "auto_round", "gptq")]  # fmt: skip


@pytest.mark.parametrize(("method", "package", "extra"), METHODS_WITHOUT_PACKAGE)
def test_a_package_that_is_missing_is_named(method, package, extra, texts, tmp_path):
    import importlib.util

    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(DependencyError) as caught:
        call("quantise", MODEL, "--method", method, "--out", tmp_path / "q", "--no-proof",
             "--no-speed", "--calibrate", f"en={texts / 'en.jsonl'}",
             "--calibration-rows", "2")  # fmt: skip
    assert f"hanhua[{extra}]" in caught.value.fix
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("method", ["int8", "nf4"])
def test_transformers_reloads_what_was_stored(method, tmp_path):
    pytest.importorskip({"int8": "torchao", "nf4": "bitsandbytes"}[method])
    call("quantise", MODEL, "--method", method, "--out", tmp_path / "q", "--no-proof")
    names = {p.name for p in (tmp_path / "q").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer.model"} <= names


MISTAKES = [
    (("--method", "q4_9"), UsageError, "no such way"),
    (("--method", "q8_0", "--gate", "max_zh_los=1"), RecipeError, "unknown gate"),
    (("--method", "q8_0", "--gate", "max_zh_loss"), UsageError, "no gate"),
    (("--method", "q8_0", "--no-proof", "--gate", "max_zh_loss=1"), UsageError, "needs the proof"),
    (("--method", "q8_0"), UsageError, "no text to measure"),
    (("--method", "gptq-int4", "--no-proof"), UsageError, "no text to calibrate"),
    (("--method", "q8_0", "--tasks", "cmmlu", "--no-speed"), UsageError, "where the tasks lie"),
]


def test_a_result_that_was_refused_before_is_not_overwritten(tmp_path):
    (tmp_path / "q.refused").mkdir()
    with pytest.raises(StorageError, match="refused before"):
        call("quantise", MODEL, "--method", "q8_0", "--no-proof", "--out", tmp_path / "q")


@pytest.mark.parametrize(("options", "kind", "what"), MISTAKES)
def test_mistakes_have_a_message(options, kind: type[HanhuaError], what: str, tmp_path):
    with pytest.raises(kind) as caught:
        call("quantise", MODEL, "--out", tmp_path / "q", *options)
    assert what in str(caught.value)
    assert caught.value.fix
    assert not (tmp_path / "q").exists()


def test_a_mixture_of_experts_is_refused_before_it_is_measured(tmp_path):
    config = json.loads((MODEL / "config.json").read_text())
    config |= {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="can't be stored in fewer bits") as error:
        check_dense(tmp_path / "m")
    assert "'mixtral'" in error.value.message
    check_dense(MODEL)


def test_methods_by_name():
    assert set(METHODS) == set(MethodName.__args__)
    assert [m.name for m in parse_methods("Q8_0, int8")] == ["q8_0", "int8"]


@given(st.dictionaries(st.sampled_from(["zh", "en", "ja"]), st.floats(0.01, 1), min_size=1),
       st.integers(1, 300))  # fmt: skip
def test_rows_follow_the_shares(shares, rows):
    counts = row_counts(shares, rows)
    assert sum(counts.values()) == rows
    total = sum(shares.values())
    assert all(abs(counts[c] - rows * shares[c] / total) < 1 for c in shares)


def test_calibration_text_in_the_shares(sentences):
    tokenizer = load_tokenizer(MODEL)
    documents = {c: [Document(c, "".join(t), c, "a", "")] for c, t in sentences.items()}
    rows, counts = calibration(tokenizer, documents, {"zh": 0.75, "en": 0.25}, 8, 32)
    assert [len(row) for row in rows] == [32] * 8
    assert counts == {"en": 2 * 32, "zh": 6 * 32}
    assert rows[0] == tokenizer("".join(sentences["en"]))["input_ids"][:32]
    with pytest.raises(InputError, match="too little text"):
        calibration(tokenizer, documents, {"ja": 1.0}, 1, 8)


@given(st.integers(0, 2**31))
def test_gptq_packing_is_undone(seed: int):
    draw = torch.Generator().manual_seed(seed)
    inputs, outputs, groups = 16, 8, 2
    q = torch.randint(0, 2**BITS, (inputs, outputs), generator=draw)
    z = torch.randint(1, 2**BITS + 1, (groups, outputs), generator=draw)
    scales = torch.rand(groups, outputs, generator=draw)
    g_idx = torch.arange(inputs) // (inputs // groups)
    shifts = torch.arange(0, 32, BITS)
    qweight = (q.view(inputs // 8, 8, outputs) << shifts[None, :, None]).sum(1).to(torch.int32)
    qzeros = ((z - 1).view(groups, outputs // 8, 8) << shifts).sum(2).to(torch.int32)
    found = unpack(qweight, qzeros, scales, g_idx.to(torch.int32))
    assert torch.equal(found, ((q - z[g_idx]).float() * scales[g_idx]).T)


RECIPE = """\
name: small
base: {{model: {model}}}
corpus:
  sources:
    - {{path: {zh}, language: zh, licence: CC0}}
    - {{path: {en}, language: en, licence: CC0}}
  held_out_docs: 6
  min_chars: 5
  dedup: exact
eval: {{bits_per_byte: {{max_docs: 4}}, drift: null}}
quantise:
  methods: [q4_0]
  gate: {{max_zh_loss: 0.5}}
machine: {{threads: 1, workers: 1}}
"""


def test_a_recipe_measures_against_its_own_scores(tmp_path, sentences):
    for language, lines in sentences.items():
        rows = [{"id": str(i), "text": "".join(lines[i : i + 3])} for i in range(0, 60, 3)]
        (tmp_path / f"{language}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = tmp_path / "recipe.yaml"
    files = {code: tmp_path / f"{code}.jsonl" for code in ("zh", "en")}
    path.write_text(RECIPE.format(model=MODEL, **files))
    recipe = load_recipe(path)
    ledger = run_walk(recipe.walk(tmp_path / "runs"), Silent())
    stage = tmp_path / "runs" / "small" / ledger["stages"]["quantise"]["path"]
    found = json.loads((stage / "quantise.json").read_text())
    assert [row["method"] for row in found["rows"]] == ["source", "q4_0"]
    assert not (stage / "source-proof").exists()
    assert found["rows"][1]["documents"] == {"en": 2, "zh": 2}
    assert (stage / "q4_0" / "model-q4_0.gguf").is_file()

    strict = load_recipe(path, ["quantise.gate={max_en_loss: 0.0, max_zh_loss: 0.0}"])
    fingerprint = ledger["stages"]["quantise"]["path"]
    rows = found["rows"][1:]
    if any(row["change"][c]["low"] > 0 for row in rows for c in ("zh", "en")):
        with pytest.raises(GateError, match="loses more"):
            run_walk(strict.walk(tmp_path / "runs"), Silent())
    else:
        again = run_walk(strict.walk(tmp_path / "runs"), Silent())
        assert again["stages"]["quantise"]["path"] == fingerprint
    assert stage.is_dir()


# Export


def test_an_ollama_folder_and_what_would_be_uploaded(tmp_path):
    found = call("export", MODEL, "--to", "ollama", "--out", tmp_path / "o", "--name", "valley",
                 "--licence", "apache-2.0", "--push", "hf:org/valley", "--dry-run")  # fmt: skip
    text = (tmp_path / "o" / "Modelfile").read_text()
    assert text.startswith("FROM ./valley-q8_0.gguf\n")
    assert "num_ctx" in text
    assert "apache-2.0" in text
    assert found["proof"]["greedy_tokens"] == 96
    assert found["push"]["done"] is False
    names = {file["name"] for file in found["push"]["files"]}
    assert names == {"Modelfile", "valley-q8_0.gguf", "export.json"}
    assert found["push"] == manifest(tmp_path / "o", Place("hf", "org/valley")) | {
        "private": True, "done": False,
    }  # fmt: skip


def test_a_folder_for_transformers(tmp_path):
    found = call("export", MODEL, "--to", "hf", "--out", tmp_path / "hf")
    names = set(found["files"])
    assert {"config.json", "model.safetensors", "tokenizer.model", "README.md"} <= names
    assert found["proof"]["lines_compared"] > 10


def test_a_model_s_card_tells_nothing_of_what_came_after_it(tmp_path):
    def made(stage, **inputs):
        record = {"inputs": {role: {"stage": name} for role, name in inputs.items()}}
        return Artifact(tmp_path / f"{stage}-1", stage, "", record)

    run = {one.stage: one for one in (
        made("base"), made("corpus"), made("pretrain", model="base", corpus="corpus"),
        made("chatdata"), made("finetune", model="pretrain", chat="chatdata"), made("eval-base"),
        made("eval-pretrain"), made("eval-finetune"),
    )}  # fmt: skip
    found = history(run, tmp_path / "pretrain-1" / "model")
    assert set(found) == {"base", "corpus", "pretrain", "eval-base", "eval-pretrain"}
    assert set(history(run, tmp_path / "finetune-1")) == set(run)
    assert set(history(run, tmp_path)) == set(run)


def test_a_model_of_a_hub_is_called_by_its_name(tmp_path):
    assert plain_name(tmp_path / "snapshots" / "0123abcd", "org/name@main") == "name"
    assert plain_name(tmp_path / "my" / "model", str(tmp_path)) == "my"


EXPORT_MISTAKES = [
    (("--to", "hf", "--type", "q8_0"), "of GGUF files"),
    (("--to", "gguf", "--type", "int8"), "no type of GGUF"),
    (("--to", "gguf", "--dry-run"), "Nothing is to be uploaded"),
    (("--to", "gguf", "--push", "org/name", "--dry-run"), "no place on a hub"),
]


@pytest.mark.parametrize(("options", "what"), EXPORT_MISTAKES)
def test_export_mistakes(options, what: str, tmp_path):
    with pytest.raises(UsageError, match=what):
        call("export", MODEL, "--out", tmp_path / "e", *options)
    assert not (tmp_path / "e").exists()
