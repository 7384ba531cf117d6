"""The stages tokens, pretrain and finetune on a tiny real model, and what they leave on disk."""

from __future__ import annotations

import itertools
import json
import stat

import pytest
import torch

from hanhua.chat.conversation import Conversation, Turn, write_conversations
from hanhua.chat.template import get_template
from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import RecipeError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.model.config import BaseConfig
from hanhua.model.load import load_model, load_tokenizer
from hanhua.stages import base, finetune, pretrain, tokens
from hanhua.text.document import Document
from hanhua.text.shards import write_documents
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import TrainConfig
from hanhua.train.finetune_config import FinetuneConfig


def run(stage, section, out, inputs=None, work=None):
    out.mkdir()
    context = Context(
        config=section, inputs=inputs or {}, out=out, work=work or out.with_suffix(".work"),
        seed=3, machine=Machine(device="cpu", threads=1), progress=Silent(),
    )  # fmt: skip
    context.work.mkdir(exist_ok=True)
    result = stage.STAGE.run(context)
    return Artifact(
        out, stage.STAGE.name, "0" * 64, {"counts": result.counts, "metrics": result.metrics}
    )


@pytest.fixture(scope="module")
def walk(tmp_path_factory, tiny_llama, sentences):
    folder = tmp_path_factory.mktemp("walk")
    found = {"base": run(base, BaseConfig(model=str(tiny_llama)), folder / "base")}
    (folder / "corpus").mkdir()
    for language, lines in sentences.items():
        documents = [
            Document(f"{language}/{i}", line, language, "made", "CC0")
            for i, line in enumerate(lines)
        ]
        write_documents(folder / "corpus" / "train" / f"{language}-00000.parquet", documents)
    corpus = Artifact(folder / "corpus", "corpus", "0" * 64, {})
    section = TokensConfig(seq_len_tokens=64, budget_tokens=8000, tolerance=0.02)
    inputs = {"model": found["base"], "corpus": corpus}
    found["tokens"] = run(tokens, section, folder / "tokens", inputs)
    training = TrainConfig(learning_rate=5e-3, batch_tokens=512)
    inputs = {"model": found["base"], "tokens": found["tokens"]}
    found["pretrain"] = run(pretrain, training, folder / "pretrain", inputs)
    (folder / "chatdata").mkdir()
    talks = [
        Conversation(f"c/{i}", "", (Turn("user", "Tom?"), Turn("assistant", line)), "en")
        for i, line in enumerate(sentences["en"][:60])
    ]
    write_conversations(folder / "chatdata" / "train.parquet", talks)
    found["chatdata"] = Artifact(
        folder / "chatdata", "chatdata", "0" * 64, {"metrics": {"template": "hanhua"}}
    )
    inputs = {"model": found["pretrain"], "chatdata": found["chatdata"]}
    chat = FinetuneConfig(seq_len_tokens=64, batch_tokens=512, learning_rate=5e-3, epochs=2.0)
    found["finetune"] = run(finetune, chat, folder / "finetune", inputs)
    return found


def test_tokens_come_in_the_asked_shares(walk):
    found = walk["tokens"]
    assert found.metrics["shares"]["counted"]["zh"] == pytest.approx(0.7, abs=0.02)
    assert found.counts["tokens"] == sum(found.counts["tokens_by_language"].values())
    assert found.metrics["padding_share"] < 0.05  # a small corpus; see tests/tokens for real ones


def test_rows_longer_than_the_context_are_not_even_packed(walk, tmp_path):
    inputs = {"model": walk["base"], "corpus": Artifact(tmp_path, "corpus", "0" * 64, {})}
    with pytest.raises(RecipeError, match="longer than the model's context") as error:
        run(tokens, TokensConfig(seq_len_tokens=129), tmp_path / "out", inputs)
    assert "tokens.seq_len_tokens" in error.value.message


def test_training_lowers_the_loss_and_is_logged(walk):
    found = walk["pretrain"]
    lines = [json.loads(x) for x in (found.path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, found.counts["steps"] + 1))
    assert lines[-1]["tokens"] == found.counts["tokens"] == walk["tokens"].counts["tokens"]
    assert found.metrics["loss"] < lines[0]["loss"] - 0.5
    assert set(found.metrics["losses"]) == {"en", "zh"}
    assert not {"time", "seconds"} & set(lines[0])


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_the_model_folder_is_whole_and_plain(walk, name):
    folder, source = walk[name].path / "model", walk["base"].path / "model"
    for file in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model"):
        assert (folder / file).read_bytes() == (source / file).read_bytes(), file
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in folder.iterdir())
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "float32"  # a tiny model
    assert "hanhua_packed" not in json.dumps(config)
    model = load_model(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight  # still tied
    assert torch.isfinite(model(torch.tensor([[1, 5, 9]])).logits).all()
    assert walk[name].metrics["reload_max_difference"] == 0.0


def test_the_template_travels_with_the_finetuned_model(walk):
    from transformers import AutoTokenizer

    assert not (walk["pretrain"].path / "model" / "chat_template.jinja").exists()
    folder = walk["finetune"].path / "model"
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for tokenizer in (ours, theirs):
        assert tokenizer.chat_template == get_template("hanhua").jinja
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == ours.eos_token_id
    assert walk["finetune"].counts["conversations"]["whole"] == 60


def test_a_step_has_its_tokens_also_beside_longer_rows_of_text(walk, tmp_path):
    section = TokensConfig(seq_len_tokens=128, budget_tokens=8000, tolerance=0.1)
    corpus = Artifact(walk["base"].path.parent / "corpus", "corpus", "0" * 64, {})
    text = run(tokens, section, tmp_path / "tokens", {"model": walk["base"], "corpus": corpus})
    inputs = {"model": walk["pretrain"], "chatdata": walk["chatdata"], "tokens": text}
    chat = FinetuneConfig(seq_len_tokens=64, batch_tokens=512, epochs=2.0)
    out = run(finetune, chat, tmp_path / "out", inputs)
    lines = [json.loads(x) for x in (out.path / "log.jsonl").read_text().splitlines()]
    ends = [0, *(line["tokens"] for line in lines)]
    steps = [after - before for before, after in itertools.pairwise(ends)]
    assert min(steps[:-1]) > 350 > 4 * 64  # four rows as long as a conversation have 256
    assert out.counts["conversations"]["whole"] == 60
    assert out.metrics["rehearsal_share"] > 0


def test_the_same_again_gives_the_same_bytes(walk, tmp_path):
    inputs = {"model": walk["base"], "tokens": walk["tokens"]}
    again = run(
        pretrain, TrainConfig(learning_rate=5e-3, batch_tokens=512), tmp_path / "again", inputs
    )
    for path in sorted(p for p in walk["pretrain"].path.rglob("*") if p.is_file()):
        name = path.relative_to(walk["pretrain"].path)
        assert (again.path / name).read_bytes() == path.read_bytes(), name


def test_new_rows_come_from_the_expand_stage(walk, tmp_path):
    expanded = tmp_path / "expand"
    expanded.mkdir()
    (expanded / "model").symlink_to(walk["base"].path / "model")
    (expanded / "rows.json").write_text(json.dumps({"old_rows": 200, "new_rows": 100}))
    inputs = {"model": Artifact(expanded, "expand", "0" * 64, {}), "tokens": walk["tokens"]}
    section = TrainConfig(batch_tokens=512, steps=2, phases=[{"train": "new_rows"}])
    out = run(pretrain, section, tmp_path / "out", inputs)
    before = load_model(walk["base"].path / "model").get_input_embeddings().weight
    after = load_model(out.path / "model").get_input_embeddings().weight
    assert torch.equal(before[:200], after[:200])
    assert not torch.equal(before[200:], after[200:])


def test_watched_training_gives_the_same_model_and_says_what_it_saw(walk, tmp_path, sentences):
    for language, lines in sentences.items():
        documents = [Document(str(i), x, language, "made", "CC0") for i, x in enumerate(lines[:9])]
        write_documents(tmp_path / "corpus" / "held_out" / f"{language}.parquet", documents)
    corpus = Artifact(tmp_path / "corpus", "corpus", "0" * 64, {})
    inputs = {"model": walk["base"], "tokens": walk["tokens"], "corpus": corpus}
    section = TrainConfig(learning_rate=5e-3, batch_tokens=512, watch={"docs": 5})
    out = run(pretrain, section, tmp_path / "out", inputs)
    weights = [x.path / "model" / "model.safetensors" for x in (out, walk["pretrain"])]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    seen = out.metrics["held_out"]
    assert set(seen["start"]) == {"en", "zh"}
    assert all(seen["end"][language] < bits - 0.1 for language, bits in seen["start"].items())
    assert "held_out" not in walk["pretrain"].metrics
