from __future__ import annotations

import json
from pathlib import Path

import yaml

from hanhua.core.artifact import Artifact
from hanhua.export.card import CardFacts, gather, render_card

SCORES = {
    "bits_per_byte": {"zh": {"value": 1.81, "low": 1.75, "high": 1.87, "n_docs": 200,
                             "n_bytes": 90000}},
    "drift": {"held_out": {"value": 0.0123, "low": 0.01, "high": 0.015, "n_docs": 50}},
    "tasks": [{"task": "cmmlu", "n": 200, "accuracy": 0.275, "stderr": 0.03, "chance": 0.25,
               "difference": {"value": 0.02, "low": -0.03, "high": 0.07}}],
}  # fmt: skip
SOURCE = {"source": "wiki|zh", "language": "zh", "licence": "CC-BY-SA-4.0", "in": 1234567,
          "kept": 10, "held_out": 2, "chars": 999}  # fmt: skip


def artifact(folder: Path, stage: str, record: dict, **files: object) -> Artifact:
    path = folder / stage
    path.mkdir()
    for name, value in files.items():
        (path / name.replace("_", ".")).write_text(json.dumps(value))
    return Artifact(path, stage, "0" * 64, record)


def test_a_card_of_a_whole_walk_says_what_went_in_and_what_came_out(tmp_path):
    inputs = {
        "base": artifact(tmp_path, "base", {"identity": {"model": "hf:org/llama@main"}}),
        "corpus": artifact(tmp_path, "corpus", {}, ledger_json={"sources": [SOURCE]}),
        "chatdata": artifact(tmp_path, "chatdata", {}, ledger_json={"sources": [SOURCE]}),
        "vocab": artifact(tmp_path, "vocab", {"metrics": {
            "tokens_per_char": {"before": {"zh": 1.9}, "after": {"zh": 0.71}}}}),
        "tokens": artifact(tmp_path, "tokens", {"metrics": {
            "shares": {"asked": {"zh": 0.7, "en": 0.3}, "counted": {"zh": 0.701, "en": 0.299}}}}),
        "eval-base": artifact(tmp_path, "eval-base", {}, scores_json=SCORES),
        "eval-finetune": artifact(tmp_path, "eval-finetune", {}, scores_json=SCORES),
    }  # fmt: skip
    card = render_card(CardFacts(target="zh", source="en", template="hanhua", licence="apache-2.0",
                                 **gather(inputs)))  # fmt: skip
    head = yaml.safe_load(card.split("---")[1])
    assert head["language"] == ["zh", "en"]
    assert head["base_model"] == "org/llama"
    assert head["license"] == "apache-2.0"
    for text in ("wiki\\|zh", "CC-BY-SA-4.0", "1,234,567", "1.810 [1.750, 1.870]", "90,000", "200",
                 "27.5 % ± 3.0 %", "2.0 % [-3.0 %, 7.0 %]", "70.0 % | 70.1 %", "1.900 | 0.710",
                 "0.0123 [0.0100, 0.0150]", "`hanhua`"):  # fmt: skip
        assert text in card, text
    assert card.index("base (untouched)") < card.index("| chat |")
    assert card.count("0.0123") == 1  # the base does not drift from itself


def test_a_base_of_files_is_named_by_digest(tmp_path):
    files = [{"name": "model.safetensors", "sha256": "ab" * 32}]
    base = artifact(tmp_path, "base", {"identity": {"model": files}})
    card = render_card(CardFacts(target="zh", source="en", **gather({"base": base})))
    assert "ab" * 32 in card
    assert "base_model" not in card


def test_a_card_of_nothing_is_still_a_card():
    card = render_card(CardFacts(target="ja", source="en", **gather({})))
    assert yaml.safe_load(card.split("---")[1])["language"] == ["ja", "en"]
    assert "None" not in card
    for heading in ("Training text", "Bits per byte", "Mixture", "Base model"):
        assert heading not in card
