"""FLORES and NTREX from files of their published layouts, and scores held against sacrebleu."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.eval import asked, written
from hanhua.eval.config import TaskConfig
from hanhua.eval.forward import CausalModel
from hanhua.eval.measured import Bench, measure_task
from hanhua.eval.resume import Journals
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import Task

PLACES = {"dev": ["river", "hill"], "devtest": ["market", "school", "bridge", "wood"]}
NAMES = {
    "river": "河",
    "hill": "山",
    "market": "市场",
    "school": "学校",
    "bridge": "桥",
    "wood": "树林",
}
CODES = {"flores200": ("eng_Latn", "zho_Hans"), "flores101": ("eng", "zho_simpl"),
         "archive": ("eng_Latn", "cmn_Hans"), "parquet": ("eng_Latn", "cmn_Hans"),
         "jsonl": ("eng_Latn", "cmn_Hans"), "sentence": ("eng_Latn", "zho_Hans")}  # fmt: skip


def sides(split: str) -> tuple[list[str], list[str]]:
    return ([f"The old man walks to the {p}." for p in PLACES[split]],
            [f"老人走到{NAMES[p]}去。" for p in PLACES[split]])  # fmt: skip


def flores(folder: Path, layout: str) -> Path:
    """Self-written sentences in one of the layouts that FLORES was published in."""
    for split in PLACES:
        (folder / split).mkdir(parents=True)
        for code, lines in zip(CODES[layout], sides(split), strict=True):
            rows = [{"id": i, "text": text, "url": "-"} for i, text in enumerate(lines)]
            if layout == "parquet":
                table = pyarrow.Table.from_pylist(rows)
                pyarrow.parquet.write_table(table, folder / split / f"{code}.parquet")
                continue
            if layout == "sentence":
                rows = [{"id": row["id"] + 1, "sentence": row["text"]} for row in rows]
            if layout in ("jsonl", "sentence"):
                name, text = f"{code}.jsonl", "\n".join(json.dumps(row) for row in rows)
            else:
                name = f"{split}.{code}" if layout == "archive" else f"{code}.{split}"
                text = "\n".join(lines)
            (folder / split / name).write_text(text + "\n", encoding="utf-8")
    return folder


def ntrex(folder: Path, layout: str) -> Path:
    """The same in NTREX's layout, or as rows; it has one split."""
    folder.mkdir()
    english, chinese = sides("devtest")
    if layout == "published":
        (folder / "newstest2019-src.eng.txt").write_text("\n".join(english) + "\n", "utf-8")
        (folder / "newstest2019-ref.zho-CN.txt").write_text("\n".join(chinese) + "\n", "utf-8")
        return folder
    rows = [json.dumps({"en": a, "zh": b}) for a, b in zip(english, chinese, strict=True)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    return folder / "rows.jsonl"


def load(name: str, path: Path, shots: int = 0) -> Task:
    (task,) = load_tasks([TaskConfig(name=name, path=str(path), shots=shots, limit=0)])  # type: ignore[arg-type]
    return task


@pytest.mark.parametrize("layout", CODES)
def test_flores_reads_alike_in_every_layout(tmp_path: Path, layout: str) -> None:
    pytest.importorskip("sacrebleu")
    folder = flores(tmp_path / "flores", layout)
    english, chinese = sides("devtest")
    task = load("flores_en_zh", folder, shots=1)
    assert [q.text for q in task.questions] == english
    assert [q.choices for q in task.questions] == [(line,) for line in chinese]
    assert task.prompt(task.questions[0], 1) == (
        "English phrase: The old man walks to the river.\nChinese phrase: 老人走到河去。\n\n"
        "English phrase: The old man walks to the market.\nChinese phrase:"
    )
    back = load("flores_zh_en", folder)
    assert [q.text for q in back.questions] == chinese
    assert (task.language, back.language) == ("zh", "en")


@pytest.mark.parametrize("layout", ["published", "rows"])
def test_ntrex_shows_its_first_sentences_and_does_not_ask_them(tmp_path: Path, layout: str) -> None:
    pytest.importorskip("sacrebleu")
    path = ntrex(tmp_path / "ntrex", layout)
    task = load("ntrex_zh_en", path, shots=2)
    english, chinese = sides("devtest")
    assert [q.text for q in task.questions] == chinese[2:]
    assert [q.choices[0] for q in task.questions] == english[2:]
    assert chinese[0] in task.prompt(task.questions[0], 2)


TEXTS = {
    "zh": ["老人走到市场去。", "老人去学校。", "他在桥上。", "不知道"],
    "en": ["The old man walks to the market.", "An old man goes to school.", "On a bridge", "no"],
}


@pytest.mark.parametrize("name", ["flores_en_zh", "flores_zh_en", "ntrex_en_zh", "ntrex_zh_en"])
def test_figures_are_those_of_sacrebleu(tmp_path: Path, name: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    path = (
        flores(tmp_path / "f", "flores200")
        if "flores" in name
        else ntrex(tmp_path / "n", "published")
    )
    task = load(name, path)
    to = name[-2:]
    texts, references = TEXTS[to], [[q.choices[0] for q in task.questions]]
    answers = [written.judge(task, q, t) for q, t in zip(task.questions, texts, strict=True)]
    found = asked.summary(task, answers, 1, 200)
    bleu = sacrebleu.corpus_bleu(texts, references, tokenize="zh" if to == "zh" else "13a")
    assert found["bleu"] == pytest.approx(bleu.score, rel=1e-8)
    assert 0 < found["bleu"] < 100
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, references).score, rel=1e-8)
    each = [
        sacrebleu.sentence_chrf(t, [r]).score for t, r in zip(texts, references[0], strict=True)
    ]
    assert [100 * a.score for a in answers] == pytest.approx(each, rel=1e-8)
    assert found["accuracy"] == pytest.approx(sum(each) / 400)
    assert f"tok:{'zh' if to == 'zh' else '13a'}" in found["bleu_signature"]


def test_a_model_translates_and_is_compared_sentence_by_sentence(
    base: CausalModel, new: CausalModel, tmp_path: Path
) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    task = load("flores_en_zh", flores(tmp_path / "f", "parquet"))
    found: dict[str, Any] = {}
    for name, model, before in (("old", base, None), ("new", new, tmp_path / "old")):
        bench = Bench(journals=Journals(None, {}), items=tmp_path / name, base_items=before, seed=1,
                      draws=200, progress=Silent())  # fmt: skip
        found[name] = measure_task(lambda t, p, m=model: asked.ask(m, t, p), task, bench)
    rows = [
        json.loads(x) for x in (tmp_path / "new" / f"{task.name}.jsonl").read_text().splitlines()
    ]
    texts, references = [row["read"] for row in rows], [[row["reference"] for row in rows]]
    assert len(texts) == 4
    assert found["new"]["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, references).score)
    assert found["new"]["difference"]["n"] == 4
    moved = found["new"]["accuracy"] - found["old"]["accuracy"]
    assert found["new"]["difference"]["value"] == pytest.approx(moved, abs=1e-8)


def test_a_side_that_is_missing_or_does_not_go_along_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    folder = flores(tmp_path / "f", "flores200")
    chinese = folder / "devtest" / "zho_Hans.devtest"
    chinese.write_text("老人。\n", encoding="utf-8")
    with pytest.raises(InputError, match="not of the same sentences") as error:
        load("flores_en_zh", folder)
    assert "eng_Latn.devtest has 4" in str(error.value.found)
    chinese.unlink()
    with pytest.raises(InputError, match="is not there: zh") as error:
        load("flores_en_zh", folder)
    assert "eng_Latn.devtest" in str(error.value.found)
    with pytest.raises(InputError, match="read from its files"):
        load_tasks([TaskConfig(name="flores_en_zh", dataset="hf:owner/flores")])
    rows = flores(tmp_path / "j", "jsonl")
    (rows / "devtest" / "cmn_Hans.jsonl").write_text('{"id": 0, "words": "x"}\n')
    with pytest.raises(InputError, match="no sentence of FLORES"):
        load("flores_en_zh", rows)
