"""The stages base, vocab and expand on a small corpus, as the runner calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine, Section
from hanhua.core.errors import ModelError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context, Result, Stage
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.stages import base, expand, vocab
from hanhua.text.document import Document
from hanhua.text.shards import write_documents
from hanhua.vocab.build import _check
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.report import Measured


def run(stage: Stage, config: Section, out: Path, **inputs: Artifact) -> tuple[Artifact, Result]:
    out.mkdir(parents=True)
    result = stage.run(
        Context(config=config, inputs=inputs, out=out, work=out.with_name("work"), seed=5,
                machine=Machine(), progress=Silent())
    )  # fmt: skip
    return Artifact(out, stage.name, "0" * 64, {}), result


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, documents, sentences) -> Artifact:
    folder = tmp_path_factory.mktemp("corpus")
    english = [
        Document(f"e/{i}", f"{text}\n{text} 小明!", "en", "e", "cc0")
        for i, text in enumerate(sentences["en"])
    ]
    write_documents(folder / "train" / "zh-00000.parquet", documents[:-20])
    write_documents(folder / "held_out" / "zh.parquet", documents[-20:])
    write_documents(folder / "train" / "en-00000.parquet", english[:-50])
    write_documents(folder / "held_out" / "en.parquet", english[-50:])
    return Artifact(folder, "corpus", "1" * 64, {})


@pytest.fixture(scope="module")
def walked(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path, corpus: Artifact
) -> dict[str, tuple[Artifact, Result]]:
    root = tmp_path_factory.mktemp("walk")
    found: dict[str, Any] = {}
    found["base"] = run(base.STAGE, BaseConfig(model=str(tiny_llama)), root / "base")
    found["vocab"] = run(
        vocab.STAGE, VocabConfig(add=90), root / "vocab", base=found["base"][0], corpus=corpus
    )
    found["expand"] = run(
        expand.STAGE, ExpandConfig(), root / "expand", base=found["base"][0],
        vocab=found["vocab"][0],
    )  # fmt: skip
    return found


def test_the_vocabulary_saves_tokens_on_chinese_and_none_on_english(walked):
    metrics = walked["vocab"][1].metrics
    before, after = (metrics["tokens_per_char"][when] for when in ("before", "after"))
    assert after["zh"] < before["zh"] / 2
    assert after["en"] <= before["en"]
    assert metrics["added"] == 90
    assert metrics["english_ids_changed"] == {"lines": 50, "changed": 0}
    assert "en" not in metrics["tokens_per_letter"]["before"]
    assert metrics["tokens_per_letter"]["after"]["zh"] > after["zh"]
    assert metrics["bytes_per_token"]["after"]["zh"] > 1.5


def test_the_report_holds_sources_pieces_coverage_and_examples(walked):
    report = json.loads((walked["vocab"][0].path / "report.json").read_text())
    assert {row["source"] for row in report["sources"]} == {"b", "e"}
    assert all(row["after"] <= row["before"] for row in report["sources"])
    assert report["coverage"]["before"] == 0.0
    assert report["coverage"]["after"] > 0.9
    pieces = report["pieces"]
    assert sum(pieces["by_chars"].values()) == 90
    assert pieces["most_used"][0][1] >= pieces["most_used"][1][1] > 0
    assert len(report["examples"]["zh"]) == 5
    example = report["examples"]["zh"][0]
    assert len(example["after"]) < len(example["before"])


def test_pieces_are_listed_with_ids_counts_and_base_ids(walked):
    lines = (walked["vocab"][0].path / "pieces.jsonl").read_text().splitlines()
    pieces = [json.loads(line) for line in lines]
    assert len(pieces) == 90
    assert sorted(pieces[0]) == ["base_ids", "count", "id", "piece"]


def test_the_expanded_model_loads_and_fits_its_tokenizer(walked):
    path = walked["expand"][0].path / "model"
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = json.loads((walked["expand"][0].path / "rows.json").read_text())
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size
    assert model.config.vocab_size % 64 == 0
    assert rows["old_rows"] + rows["new_rows"] == len(tokenizer)
    assert len(tokenizer) + rows["padded_rows"] == model.config.vocab_size
    assert walked["expand"][1].counts["new_rows"] == 90
    ids = tokenizer("小明去学校。", return_tensors="pt").input_ids
    assert torch.isfinite(model(ids).logits).all()


def test_running_again_gives_the_same_bytes(walked, corpus: Artifact, tiny_llama, tmp_path):
    again: dict[str, Any] = {}
    again["base"] = run(base.STAGE, BaseConfig(model=str(tiny_llama)), tmp_path / "base")[0]
    again["vocab"] = run(
        vocab.STAGE, VocabConfig(add=90), tmp_path / "vocab", base=again["base"], corpus=corpus
    )[0]
    again["expand"] = run(
        expand.STAGE, ExpandConfig(), tmp_path / "expand", base=again["base"], vocab=again["vocab"]
    )[0]
    seen = 0
    for stage, artifact in again.items():
        for path in artifact.path.rglob("*"):
            if path.is_file():
                twin = walked[stage][0].path / path.relative_to(artifact.path)
                assert path.read_bytes() == twin.read_bytes(), path
                assert path.stat().st_mode & 0o777 == 0o644
                seen += 1
    assert seen > 15


def test_changed_english_stops_the_walk():
    with pytest.raises(ModelError, match="changed its tokens"):
        _check({"en": Measured(lines=10, changed=1)})


def test_pieces_of_another_base_are_refused(walked, tmp_path: Path, byte_level: Path):
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(
            (walked["base"][0].path / "model" / name).read_bytes()
        )
    for path in byte_level.iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    other = Artifact(tmp_path, "base", "2" * 64, {})
    with pytest.raises(ModelError, match="another tokenizer"):
        run(expand.STAGE, ExpandConfig(), tmp_path / "out", base=other, vocab=walked["vocab"][0])
