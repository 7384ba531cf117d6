"""``hanhua merge`` on a finished run: what is kept, what is written, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken

from hanhua.eval.pick_merge import Candidate, best
from hanhua.model.load import load_model, load_tokenizer
from hanhua.serve.run import resolve_run


def call(monkeypatch, capsys, *arguments):
    """The real command in this process: exit code, stdout, stderr."""
    from hanhua.cli import main

    monkeypatch.setattr(sys, "argv", ["hanhua", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture(scope="session")
def small_run(finished) -> Path:
    return finished.folder / "runs" / "small"


def test_a_run_is_merged_with_its_base(small_run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "merged"
    code, text, err = call(
        monkeypatch, capsys, "merge", small_run, "--out", out, "--weights", "0,0.5,1",
        "--wish", "en+500%", "--quiet", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(text.splitlines()[-1])
    written = json.loads((out / "merge.json").read_text(encoding="utf-8"))
    assert written == {key: value for key, value in found.items() if key != "out"}
    rows, chosen = found["candidates"], found["chosen"]
    assert [row["weight"] for row in rows] == [0.0, 0.5, 1.0]
    assert all(row["fits"] for row in rows)
    assert chosen["target"] == min(row["target"] for row in rows)
    assert chosen["weight"] > 0  # training taught it something
    # the halves are apart, and all of the run's eight held-out documents are in one of them
    assert {proof["n_docs"] for proof in chosen["proof"].values()} == {4}
    assert chosen["proof"]["zh"]["difference"]["n"] == 4
    trained = resolve_run(small_run)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert card.startswith((trained / "README.md").read_text(encoding="utf-8").rstrip())
    assert f"{chosen['weight']:g} × `" in card
    assert "held-out documents that had no say" in card
    assert load_tokenizer(out).chat_template == load_tokenizer(trained).chat_template
    names = {path.name for path in trained.iterdir()}
    assert {path.name for path in out.iterdir()} == names | {"merge.json"}
    assert not list(tmp_path.glob(".*"))
    load_model(out)


def test_an_impossible_wish_keeps_what_loses_least(small_run, tmp_path, monkeypatch, capsys):
    """A model stage named by its artifact; a chat vector of nothing, and an average with itself."""
    from hanhua.cli.run_folder import read_ledger

    stages = read_ledger(small_run)["stages"]
    pretrained, base = (small_run / stages[name]["path"] for name in ("pretrain", "base"))
    out = tmp_path / "merged"
    code, text, err = call(
        monkeypatch, capsys, "merge", pretrained, "--average", pretrained, "--out", out,
        "--weights", "1", "--chat", base, "--new-rows", "start", "--wish", "en+0%", "--quiet",
        "--docs", "4",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((out / "merge.json").read_text(encoding="utf-8"))
    assert found["models"]["chat"] == found["models"]["base"]
    assert found["new_rows"] == "start"
    one, other = load_model(out), load_model(pretrained / "model")
    for merged, trained in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(merged, trained)
    assert found["fits"] == (found["chosen"]["source_rise"] <= 0)
    if not found["fits"]:
        assert "no model keeps en within 0 %" in text


@pytest.mark.parametrize("token", ["</s>", "<|im_start|>"])
def test_the_chat_models_template_comes_along_where_it_can(
    small_run, tmp_path, monkeypatch, capsys, token
):
    """Where its tokens have the same ids here; ``<|im_start|>`` is the chat model's own."""
    from hanhua.cli.run_folder import read_ledger

    stages = read_ledger(small_run)["stages"]
    pretrained, base = (small_run / stages[name]["path"] for name in ("pretrain", "base"))
    chat, out = tmp_path / "chat", tmp_path / "merged"
    model, tokenizer = load_model(base / "model"), load_tokenizer(base / "model")
    tokenizer.add_tokens([AddedToken("<|im_start|>", special=True, normalized=False)])
    tokenizer.chat_template = token + "{{ messages[0]['content'] }}"
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(1.5)
    model.generation_config.eos_token_id = [2, 1]
    model.save_pretrained(chat)
    tokenizer.save_pretrained(chat)
    code, _, err = call(
        monkeypatch, capsys, "merge", pretrained, "--out", out, "--weights", "1", "--chat", chat,
        "--quiet", "--docs", "2",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((out / "merge.json").read_text(encoding="utf-8"))
    taken = token == "</s>"
    assert found["template_from_chat"] == taken
    assert bool(load_tokenizer(out).chat_template) == taken
    merged = load_model(out)
    assert (merged.generation_config.eos_token_id == [2, 1]) == taken
    before = load_model(base / "model").model.layers[0].mlp.down_proj.weight
    trained = load_model(pretrained / "model").model.layers[0].mlp.down_proj.weight
    moved = merged.model.layers[0].mlp.down_proj.weight - trained
    assert torch.allclose(moved, before / 2, atol=1e-6)


def test_the_choice_is_the_best_target_loss_that_fits():
    def candidate(target, source, fits):
        return Candidate(0.5, 0.0, target, source, source - 1.0, fits), {}

    rows = [candidate(1.0, 1.2, False), candidate(2.0, 1.005, True), candidate(1.5, 1.009, True)]
    assert best(rows)[0].target == 1.5
    rows = [candidate(1.0, 1.2, False), candidate(2.0, 1.05, False)]
    assert best(rows)[0].source == 1.05


REFUSED = [
    (["--weights", "0,half"], 2, "0,0.5,1"),
    (["--weights", "-1"], 2, "numbers from 0 to 2"),
    (["--wish", "fr+1%"], 2, "en+1%"),
    (["--wish", "little"], 2, "en+1%"),
    (["--target", "ja", "--quiet"], 4, "too little held-out text"),
    (["--corpus", ".", "--quiet"], 4, "too little held-out text"),
    (["--base", "nowhere"], 5, "nowhere"),
    (["--average", "nowhere"], 5, "nowhere"),
]


@pytest.mark.parametrize(("more", "code", "part"), REFUSED, ids=lambda value: str(value)[:30])
def test_bad_input(small_run, tmp_path, monkeypatch, capsys, more, code, part):
    found = call(monkeypatch, capsys, "merge", small_run, "--out", tmp_path / "m", *more)
    assert found[0] == code, found
    assert part in found[2]
    assert "Traceback" not in found[2]
    assert not (tmp_path / "m").exists()


def test_a_model_outside_of_a_run_needs_names(tiny_llama, tmp_path, monkeypatch, capsys):
    out = ("--out", tmp_path / "m")
    for more, part in (
        ((), "--base"),
        (("--base", tiny_llama), "--corpus"),
        (("--base", tiny_llama, "--new-rows", "start"), "--start"),
    ):
        code, _, err = call(monkeypatch, capsys, "merge", tiny_llama, *more, *out)
        assert code == 2, err
        assert part in err


def test_nothing_is_overwritten(small_run, tmp_path, monkeypatch, capsys):
    (tmp_path / "kept.txt").write_text("mine")
    code, _, err = call(monkeypatch, capsys, "merge", small_run, "--out", tmp_path)
    assert code == 8, err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
