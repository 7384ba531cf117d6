from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hanhua.chat.template import get_template
from hanhua.core.artifact import Artifact, file_digests
from hanhua.core.config import Machine
from hanhua.core.errors import ArtifactError
from hanhua.core.files import read_json
from hanhua.core.progress import Progress, Silent
from hanhua.core.stage import Context, Result
from hanhua.eval.config import EvalConfig
from hanhua.eval.forward import CausalModel
from hanhua.model.load import load_tokenizer
from hanhua.stages.evaluate import TITLES, stage
from hanhua.text.document import Document
from hanhua.text.shards import write_documents


@pytest.fixture(scope="module")
def artifacts(
    base: CausalModel, expanded: Path, tiny_llama: Path, sentences: dict[str, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Artifact]:  # fmt: skip
    folder = tmp_path_factory.mktemp("artifacts")
    for language in ("zh", "en"):
        documents = [
            Document(
                f"{language}/{i}", " ".join(sentences[language][i : i + 3]), language,
                f"s{i % 2}", "CC0",
            )
            for i in range(12)
        ]  # fmt: skip
        write_documents(folder / "corpus" / "held_out" / f"{language}.parquet", documents)
    (folder / "base" / "model").mkdir(parents=True)
    base.model.save_pretrained(folder / "base" / "model")
    (folder / "base" / "model" / "tokenizer.model").write_bytes((tiny_llama / "tokenizer.model").read_bytes())  # fmt: skip # noqa: E501
    (folder / "expand").mkdir()
    (folder / "expand" / "model").symlink_to(expanded)
    return {n: Artifact(folder / n, n, f"print-{n}", {}) for n in ("corpus", "base", "expand")}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EvalConfig:
    path = tmp_path_factory.mktemp("questions") / "village.jsonl"
    rows = [
        {"question": f"Tom likes {n}", "choices": ["fish", "red", "the hill"], "answer": 1,
         "language": "en", "form": "continue"} for n in range(8)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return EvalConfig.model_validate({
        "bits_per_byte": {"max_docs": 10, "max_chars_per_doc": 200},
        "drift": {"docs": 4, "samples": 6, "sample_tokens": 16},
        "tasks": [{"name": "worlds", "path": str(path)}],
        "prompts": {"zh": ["小明"], "en": ["Tom", "The river"]},
        "sample": {"max_new_tokens": 8},
        "answers": {"sets": ["identity"], "languages": ["en"], "limit": 2, "max_new_tokens": 4},
        "intervals": 300,
    })  # fmt: skip


def run(
    name: str,
    out: Path,
    config: EvalConfig,
    inputs: dict[str, Artifact],
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[Artifact, Result]:
    out.mkdir(parents=True)
    context = Context(
        config=config, inputs=inputs, out=out, work=out.parent / "work", seed=17,
        machine=Machine(device="cpu", threads=threads), progress=progress or Silent(),
    )  # fmt: skip
    result = stage(name).run(context)
    return Artifact(out, name, f"print-{name}", {}), result


@pytest.fixture(scope="module")
def base_eval(
    artifacts: dict[str, Artifact], config: EvalConfig, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    inputs = {"model": artifacts["base"], "base": artifacts["base"], "corpus": artifacts["corpus"]}
    return run("eval-base", tmp_path_factory.mktemp("runs") / "eval-base", config, inputs)[0]


def inputs_of(artifacts: dict[str, Artifact], base_eval: Artifact, model: str) -> dict[str, Artifact]:  # fmt: skip # noqa: E501
    return {
        "model": artifacts[model], "base": artifacts["base"], "corpus": artifacts["corpus"],
        "base-eval": base_eval,
    }  # fmt: skip


def test_the_base_is_measured_and_writes_its_text(base_eval: Artifact) -> None:
    scores = read_json(base_eval.path / "scores.json")
    assert scores["model"] == "base"
    assert scores["compared_with"] is None
    assert scores["drift"] is None
    assert set(scores["bits_per_byte"]) == {"zh", "en"}
    for score in scores["bits_per_byte"].values():
        assert score["n_docs"] == 10
        assert score["difference"] is None
        assert set(score["by_source"]) == {"s0", "s1"}
    lines = (base_eval.path / "drift_text.jsonl").read_text("utf-8").splitlines()
    assert 0 < len(lines) <= 6


def test_a_later_model_is_compared(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    inputs = inputs_of(artifacts, base_eval, "expand")
    found, result = run("eval-expand", tmp_path / "one", config, inputs)
    scores = read_json(found.path / "scores.json")
    assert scores["model"] == "expand"
    for language, score in scores["bits_per_byte"].items():
        old = read_json(base_eval.path / "scores.json")["bits_per_byte"][language]
        assert score["difference"]["n"] == 10
        assert score["difference"]["value"] == pytest.approx(
            score["value"] - old["value"], abs=1e-6
        )
    assert scores["bits_per_byte"]["zh"]["n_tokens"] < old_tokens(base_eval, "zh")
    asked = scores["answers"]
    assert asked["sets"] == {"identity": {"asked": 2, "not_asked": 0}}
    assert [score["difference"]["n"] for score in asked["metrics"]] == [2]  # claims_other
    assert result.metrics["answers"] == asked
    assert set(scores["drift"]) == {"held_out", "sampled"}
    for place in scores["drift"].values():
        assert 0 < place["low"] <= place["value"] <= place["high"]
    assert scores["drift_method"]["exact"] is True
    task = scores["tasks"][0]
    assert (task["n"], task["difference"]["n"]) == (8, 8)
    assert result.metrics["tasks"] == scores["tasks"]
    assert result.counts == {"documents": {"en": 10, "zh": 10}, "questions": {"village": 8}, "samples": 3}  # fmt: skip # noqa: E501
    items = {p.name for p in (found.path / "items").iterdir()}
    assert items == {
        "bits_per_byte-zh.jsonl", "bits_per_byte-en.jsonl", "village.jsonl",
        "drift-held_out.jsonl", "drift-sampled.jsonl", "answers-identity.jsonl",
    }  # fmt: skip
    lines = (found.path / "items" / "bits_per_byte-en.jsonl").read_text("utf-8").splitlines()
    total = sum(json.loads(line)["nats"] for line in lines)
    english = scores["bits_per_byte"]["en"]
    assert english["value"] == pytest.approx(total / english["n_bytes"] / 0.6931471805599453)


def old_tokens(base_eval: Artifact, language: str) -> int:
    return int(read_json(base_eval.path / "scores.json")["bits_per_byte"][language]["n_tokens"])


def test_the_same_again_is_the_same_bytes(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    inputs = inputs_of(artifacts, base_eval, "expand")
    one, two = (run("eval-expand", tmp_path / n, config, inputs)[0] for n in ("one", "two"))
    assert file_digests(one.path) == file_digests(two.path)
    assert len(file_digests(one.path)) == 8


class Stopping(Silent):
    """Progress that interrupts when so many items are done, as Ctrl-C or a kill would."""

    def __init__(self, after: int) -> None:
        self.left, self.kept = after, 0.0

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Any]:
        self.kept += done
        yield self

    def advance(self, amount: float = 1, **_: Any) -> None:
        self.left -= int(amount)
        if self.left < 0:
            raise KeyboardInterrupt


def test_killed_it_goes_on_and_ends_with_the_same_bytes(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    inputs = inputs_of(artifacts, base_eval, "expand")
    whole = run("eval-expand", tmp_path / "one", config, inputs)[0]
    with pytest.raises(KeyboardInterrupt):
        run("eval-expand", tmp_path / "killed" / "a", config, inputs, progress=Stopping(12))
    on = Stopping(10**9)
    found = run("eval-expand", tmp_path / "killed" / "b", config, inputs, progress=on)[0]
    assert on.kept == 10  # the first language's documents were not measured again
    assert file_digests(found.path) == file_digests(whole.path)


def test_without_the_base_s_evaluation_its_text_is_made_again(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    inputs = inputs_of(artifacts, base_eval, "expand")
    whole = read_json(run("eval-expand", tmp_path / "one", config, inputs)[0].path / "scores.json")
    del inputs["base-eval"]
    alone = read_json(run("eval-expand", tmp_path / "two", config, inputs)[0].path / "scores.json")
    assert alone["drift"] == whole["drift"]
    assert alone["tasks"][0]["difference"] is None


def test_no_drift_where_it_would_not_be_exact(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    inputs = inputs_of(artifacts, base_eval, "base") | {"base": artifacts["expand"]}
    scores = read_json(run("eval-expand", tmp_path / "one", config, inputs)[0].path / "scores.json")
    assert scores["drift"] is None
    assert scores["drift_method"]["exact"] is False
    assert "have another id" in scores["drift_method"]["reason"]


def test_a_chat_model_answers_in_its_template(
    artifacts: dict[str, Artifact], base_eval: Artifact, expanded: Path, config: EvalConfig,
    tmp_path: Path,
) -> None:  # fmt: skip
    chat = tmp_path / "finetune" / "model"
    chat.mkdir(parents=True)
    for file in expanded.iterdir():
        (chat / file.name).symlink_to(file)
    (chat / "chat_template.jinja").write_text(get_template("hanhua").jinja, "utf-8")
    assert load_tokenizer(chat).chat_template
    inputs = inputs_of(artifacts, base_eval, "expand")
    plain = read_json(run("eval-expand", tmp_path / "a", config, inputs)[0].path / "samples.json")
    inputs["model"] = Artifact(chat.parent, "finetune", "print-finetune", {})
    made = read_json(run("eval-finetune", tmp_path / "b", config, inputs)[0].path / "samples.json")
    assert [s["prompt"] for s in made] == ["小明", "Tom", "The river"]
    assert {s["template"] for s in made} == {"hanhua"}
    assert {s["template"] for s in plain} == {None}
    assert [s["text"] for s in made] != [s["text"] for s in plain]


def test_a_broken_base_evaluation_is_named(
    artifacts: dict[str, Artifact], base_eval: Artifact, config: EvalConfig, tmp_path: Path
) -> None:
    broken = Artifact(tmp_path / "empty", "eval-base", "x", {})
    inputs = inputs_of(artifacts, broken, "expand")
    with pytest.raises(ArtifactError, match="lacks what this one is compared with"):
        run("eval-expand", tmp_path / "one", config, inputs)


def test_every_model_of_the_walk_has_a_stage() -> None:
    from hanhua.stages import MODELS

    assert {f"eval-{name}" for name in MODELS} == set(TITLES)
    names: list[Any] = [stage(name).name for name in TITLES]
    assert names == list(TITLES)
