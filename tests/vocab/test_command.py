"""``hanhua vocab extend | learn | report | gguf`` on real files, through the real command."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import sentencepiece
from transformers import AutoTokenizer

from warm import WARM, Done

ADD = 80


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """Two Chinese files and an English one, in three formats."""
    folder = tmp_path_factory.mktemp("texts")
    zh, en = sentences["zh"], sentences["en"]
    with (folder / "news.jsonl").open("w", encoding="utf-8") as file:
        for i in range(0, 240, 2):
            text = "。".join(zh[i : i + 2]) + "\nplain English line\nx = [1, 2]"
            file.write(json.dumps({"id": str(i), "text": text}, ensure_ascii=False) + "\n")
    (folder / "book.txt").write_text("\n".join(zh[200:]), encoding="utf-8")
    (folder / "english.txt").write_text("\n".join(en), encoding="utf-8")
    return folder


def listed(path: Path) -> list[str]:
    return [json.loads(x)["piece"] for x in path.read_text(encoding="utf-8").splitlines()]


def hanhua(*arguments: object) -> Done:
    return WARM.call([str(argument) for argument in arguments], Path.cwd(), os.environ)


@pytest.fixture(scope="module")
def made(files: Path, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("made") / "tok"
    done = hanhua(
        "vocab", "extend", "--base", tiny_llama, "--text", files / "news.jsonl",
        files / "book.txt", "--add", ADD, "--check", files / "english.txt", "--out", out,
        "--set", "traditional_share=0.4", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    return out, done.json


def test_report_has_the_promised_figures(made, files: Path):
    out, report = made
    assert report == json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (report["pieces_added"], report["dead_pieces"], report["changed_lines"]) == (ADD, 0, 0)
    english = [line for line in (files / "english.txt").read_text().split("\n") if line.strip()]
    assert report["lines_checked"] >= len(english)
    rates = report["tokens_per_char"]
    assert set(rates) == {"news.jsonl", "book.txt", "english.txt"}
    assert rates["english.txt"]["before"] == rates["english.txt"]["after"]
    for name in ("news.jsonl", "book.txt"):
        assert rates[name]["after"] < rates[name]["before"]
    assert report["verified"]["sentencepiece_differences"] == 0
    assert report["verified"]["lines"] > 0


def test_curve_falls_to_the_size_asked(made):
    curve = made[1]["curve"]
    assert [curve[0]["pieces"], curve[-1]["pieces"]] == [0, ADD]
    rates = [point["tokens_per_char"] for point in curve]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_the_folder_loads_in_every_reader(made, tiny_llama: Path, sentences):
    out, _ = made
    base, new = (AutoTokenizer.from_pretrained(p) for p in (tiny_llama, out))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    assert len(new) == len(base) + ADD
    lines = [
        *sentences["zh"][:100],
        "  x = 'Tom'",
        "GPT说：好。",
        "２０２４年\t",
        "👩\u200d👩\u200d👧 𠀀",
    ]
    for line in lines:
        ids = new(line, add_special_tokens=False)["input_ids"]
        assert ids == processor.encode(line)
        assert new.decode(ids) == line
    assert any(i >= len(base) for i in new("".join(lines))["input_ids"])


def test_traditional_characters_are_learnt_from_simplified_text(made):
    pieces = listed(made[0] / "pieces.jsonl")
    assert len(pieces) == ADD
    from hanhua.vocab.variants import is_traditional

    assert any(is_traditional(piece) for piece in pieces)


def test_learn_lists_the_same_pieces(made, files: Path, tiny_llama: Path, tmp_path: Path):
    out = tmp_path / "pieces.jsonl"
    done = hanhua("vocab", "learn", "--base", tiny_llama, "--text", files / "news.jsonl",
                  files / "book.txt", "--add", ADD, "--out", out, "--set",
                  "traditional_share=0.4")  # fmt: skip
    assert done.code == 0, done.err
    assert set(listed(out)) == set(listed(made[0] / "pieces.jsonl"))


def test_report_compares_tokenizers(made, files: Path, tiny_llama: Path):
    done = hanhua("vocab", "report", tiny_llama, made[0], "--text", files / "book.txt", "--json")
    assert done.code == 0, done.err
    found = done.json
    before, after = found["tokenizers"].values()
    assert after["size"] == before["size"] + ADD
    assert after["geometric_mean"] < before["geometric_mean"]
    text = (files / "book.txt").read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    n = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert after["tokens_per_char"]["book.txt"] == pytest.approx(n / len(text), abs=1e-6)


def test_report_goes_on_without_a_tokenizer_that_it_cannot_carry(
    files: Path, tiny_llama: Path, tmp_path: Path, sentences
):
    long, unigram = tmp_path / "a-llama-compatible-tokenizer", tmp_path / "unigram"
    shutil.copytree(tiny_llama, long)
    unigram.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["en"]), model_prefix=str(unigram / "tokenizer"),
        model_type="unigram", vocab_size=100, hard_vocab_limit=False, minloglevel=2, num_threads=1,
    )  # fmt: skip
    common = ("vocab", "report", "--text", files / "book.txt")
    done = hanhua(*common, unigram, long)
    assert done.code == 0, done.err
    head, *_, last = done.out.splitlines()
    assert head.split()[3:] == [long.name]
    assert last.startswith("left out: unigram: This SentencePiece model can't be carried")
    done = hanhua(*common, unigram, long, "--json")
    assert list(done.json["tokenizers"]) == [long.name]
    assert done.json["refused"]["unigram"]["error"] == "ModelError"
    assert hanhua(*common, unigram).code == 5


def test_gguf_holds_every_token(made, tmp_path: Path):
    gguf = pytest.importorskip("gguf", reason="needs hanhua[gguf]")
    out = tmp_path / "new" / "tok.gguf"
    done = hanhua("vocab", "gguf", made[0], "--out", out, "--rows", 4_096, "--json")
    assert done.code == 0, done.err
    told = done.json
    tokens = gguf.GGUFReader(out).fields["tokenizer.ggml.tokens"].contents()
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    assert (told["tokens"], told["rows"], len(tokens)) == (len(tokenizer), 4_096, 4_096)
    assert listed(made[0] / "pieces.jsonl")[0] in tokens
    few = hanhua("vocab", "gguf", made[0], "--out", out, "--rows", 5)
    assert few.code != 0
    assert "Traceback" not in few.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--add", "many"], "--add takes a number or auto"),
        (["--set", "min_cout=3"], "did you mean 'min_count'"),
        (["--set", "source_alpha=7"], "vocab.source_alpha"),
        (["--add", "900000"], "vocab.add"),
        (["--base", "nowhere"], "nowhere"),
        (["--target", "tlh"], "vocab.script"),
    ],
)
def test_mistakes_are_one_message(arguments, message, files, tiny_llama, tmp_path):
    given = {"--base": tiny_llama, "--text": files / "book.txt", "--add": 16}
    given |= dict([arguments])
    flat = [str(x) for pair in given.items() for x in pair]
    done = hanhua("vocab", "extend", *flat, "--out", tmp_path / "out", "--quiet")
    assert done.code not in (0, 1)
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(made, files, tiny_llama):
    before = (made[0] / "tokenizer.json").read_bytes()
    done = hanhua("vocab", "extend", "--base", tiny_llama, "--text", files / "book.txt",
                  "--add", 16, "--out", made[0])  # fmt: skip
    assert done.code not in (0, 1)
    assert "there already" in done.err
    assert (made[0] / "tokenizer.json").read_bytes() == before


def test_prune_drops_what_the_text_never_uses(made, files, tmp_path):
    out, few = tmp_path / "pruned", tmp_path / "few.txt"
    lines = (files / "english.txt").read_text("utf-8").split("\n")[:8]
    few.write_text("\n".join(lines), "utf-8")
    done = hanhua("vocab", "prune", "--base", made[0], "--text", few, "--others",
                  files / "book.txt", "--out", out, "--json")  # fmt: skip
    assert done.code == 0, done.err
    report = done.json
    assert report["kept_text"]["changed_lines"] == 0
    assert report["pieces"]["after"] < report["pieces"]["before"]
    old, new = (AutoTokenizer.from_pretrained(path) for path in (made[0], out))
    ids = json.loads((out / "ids.json").read_text())
    for line in lines:
        before = old(line)["input_ids"]
        assert new(line)["input_ids"] == [ids[i] for i in before]


def test_prune_tells_people_what_became_of_the_text(tiny_llama, files, tmp_path):
    done = hanhua("vocab", "prune", "--base", tiny_llama, "--text", files / "english.txt",
                  "--out", tmp_path / "pruned")  # fmt: skip
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "pruned" / "report.json").read_text("utf-8"))
    lines = report["kept_text"]["lines_checked"]
    assert lines > 0
    assert f"0 of {lines} lines of the text changed" in done.out
    assert f"{report['pieces']['after']} after" in done.out


def test_a_text_among_the_tokenizers_is_sent_behind_text(made, files):
    done = hanhua("vocab", "report", made[0], "--text", files / "book.txt", files / "news.jsonl")
    assert done.code == 5
    assert "put --text before it" in done.err
    assert "news.jsonl:1" in done.err


def test_rows_make_a_model_of_the_tokenizer(made, tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    out = tmp_path / "model"
    done = hanhua("vocab", "rows", "--base", tiny_llama, "--tokenizer", made[0], "--out", out)
    assert done.code == 0, done.err
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    assert model.config.vocab_size % 64 == 0
    assert model.config.vocab_size >= len(tokenizer) > base.config.vocab_size
    old, new = (m.get_input_embeddings().weight for m in (base, model))
    assert new[: len(old)].equal(old)
    ids = tokenizer("小明和老师在学校。", return_tensors="pt")["input_ids"]
    assert int(ids.max()) >= base.config.vocab_size
    assert model(ids).logits.isfinite().all()
    wrong = hanhua("vocab", "rows", "--base", tiny_llama, "--tokenizer", tiny_llama, "--out",
                   tmp_path / "x")  # fmt: skip
    assert wrong.code == 5
    assert "pieces.jsonl" in wrong.err


def test_a_base_that_was_extended_already_grows_on(made, files, tmp_path):
    out = tmp_path / "again"
    done = hanhua("vocab", "extend", "--base", made[0], "--text", files / "news.jsonl", "--add", 24,
                  "--out", out, "--json")  # fmt: skip
    assert done.code == 0, done.err
    report = done.json
    assert (report["pieces_added"], report["dead_pieces"], report["changed_lines"]) == (24, 0, 0)
    assert report["verified"]["sentencepiece_differences"] == 0
    old, new = (json.loads((p / "tokenizer.json").read_text())["model"]["vocab"] for p in
                (made[0], out))  # fmt: skip
    assert old.items() <= new.items()
    assert len(new) == len(old) + 24


def test_pieces_that_a_base_has_but_cannot_reach_are_not_added_twice(tiny_llama, documents):
    """Projects appended whole words with no way to merge them; we must not append them again."""
    from dataclasses import replace

    from hanhua.vocab.config import VocabConfig
    from hanhua.vocab.convert import NORMAL, convert
    from hanhua.vocab.extend import extend
    from hanhua.vocab.family import family_of
    from hanhua.vocab.gather import gather
    from hanhua.vocab.script import script_of
    from hanhua.vocab.tokenizer import read_tokenizer

    files, script = read_tokenizer(tiny_llama), script_of("zh")
    config = VocabConfig(add=40, traditional_share=0)
    runs = gather(family_of(files), script, config, lambda: iter(documents))
    dead = [p.piece for p in extend(family_of(files), script, config, runs).pieces if
            len(p.piece) > 2][:3]  # fmt: skip
    proto = type(files.proto)()
    proto.CopyFrom(files.proto)
    for piece in dead:
        proto.pieces.add(piece=piece, score=0.0, type=NORMAL)
    family = family_of(replace(files, backend=convert(proto, add_bos=False), proto=proto))
    found = extend(family, script, config, runs)
    assert len(found.pieces) == 40
    assert not {p.piece for p in found.pieces} & set(dead)
    assert dead
