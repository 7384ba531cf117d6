"""Makes everything that the demo ships, from nothing: ``python -m hanhua.demo.build``.

Texts, conversations and questions come from the generator; the tokenizer is trained on the English
text alone, with Llama-2's settings; the tiny English LLaMA is trained from that text by
``base.yaml``, that is by hanhua's own stages. Nothing here reads a file that was not made here,
so the same code gives the same bytes (texts everywhere, weights on the same kind of CPU).
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hanhua.core.files import write_text
from hanhua.core.progress import Progress, default_progress
from hanhua.demo.conversations import conversations
from hanhua.demo.documents import Text, documents
from hanhua.demo.questions import questions
from hanhua.demo.render import LANGUAGES, Language

DATA = Path(__file__).parent / "data"
SEED = 1
DOCUMENTS: dict[Language, int] = {"en": 14_000, "zh": 11_000}
CONVERSATIONS: dict[Language, int] = {"en": 1_500, "zh": 3_600}
READING_QUESTIONS = 96
SUMS = 40
VOCAB_PIECES = 1_280
LICENCE = "Apache-2.0"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as JSON lines, one spelling."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def packed(data: bytes) -> bytes:
    """Gzip without name or time, so that the same text gives the same file."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def _record(document: Text) -> dict[str, str]:
    return {
        "id": document.id, "text": document.text, "language": document.language,
        "source": document.source,
    }  # fmt: skip


def texts() -> dict[str, bytes]:
    """Every shipped text file by name, not yet packed; ``.gz`` names are to be packed."""
    found: dict[str, bytes] = {}
    for language in LANGUAGES:
        made = list(documents(language, DOCUMENTS[language], SEED))
        alone = [document for document in made if document.source != "parallel"]
        found[f"{language}.jsonl.gz"] = json_lines(map(_record, alone))
        if len(alone) < len(made):
            found["parallel.jsonl.gz"] = json_lines(
                _record(document) for document in made if document.source == "parallel"
            )
        found[f"chat-{language}.jsonl.gz"] = json_lines(
            talk.as_dict() for talk in conversations(language, CONVERSATIONS[language], SEED)
        )
        found[f"questions-{language}.jsonl"] = json_lines(
            item.as_dict() for item in questions(language, SEED + 1, READING_QUESTIONS, SUMS)
        )
    return found


def write_texts(folder: Path) -> None:
    """Write the text files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in texts().items():
        (folder / name).write_bytes(packed(data) if name.endswith(".gz") else data)


def train_tokenizer(lines: Iterable[str]) -> bytes:
    """A SentencePiece BPE model with Llama-2's settings, trained on these documents.

    As there: no normalisation, a space before the text, every digit by itself, unknown
    characters as bytes, ids 0 to 2 for <unk>, <s> and </s>.
    """
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in lines for line in text.split("\n") if line),
        model_writer=model, model_type="bpe", vocab_size=VOCAB_PIECES, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, split_digits=True, allow_whitespace_only_pieces=True,
        character_coverage=1.0, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1,
        minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def write_tokenizer(folder: Path) -> None:
    """Train the tokenizer on the English documents and write ``tokenizer.model``."""
    english = (document.text for document in documents("en", DOCUMENTS["en"], SEED))
    (folder / "tokenizer.model").write_bytes(train_tokenizer(english))


def train_base(folder: Path, progress: Progress) -> None:
    """Train the tiny English LLaMA by ``base.yaml`` and write it to ``tiny-en``, in fp16."""
    from hanhua.core.runner import run
    from hanhua.recipe import load_recipe

    with tempfile.TemporaryDirectory() as runs:
        walk = load_recipe(folder / "base.yaml").walk(Path(runs))
        run(walk, progress)
        found = sorted(walk.run_dir.glob("pretrain-*/model"))
        _save_half(found[0], folder / "tiny-en")


def _save_half(trained: Path, target: Path) -> None:
    """Copy a model folder with its weights in fp16: half the size, and 11 bits of precision."""
    import torch

    from hanhua.model.load import load_model

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(trained, target, ignore=shutil.ignore_patterns("*.safetensors*"))
    load_model(trained, torch.float32).half().save_pretrained(target)
    for name in ("config.json", "generation_config.json"):
        path = target / name
        if path.exists():
            settings = json.loads(path.read_text(encoding="utf-8"))
            write_text(path, json.dumps(settings, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Build all, or only the texts and the tokenizer (``--texts``)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="the folder to write")
    parser.add_argument("--texts", action="store_true", help="leave the weights as they are")
    arguments = parser.parse_args()
    progress = default_progress()
    arguments.out.mkdir(parents=True, exist_ok=True)
    progress.say("texts, conversations, questions")
    write_texts(arguments.out)
    progress.say("tokenizer")
    write_tokenizer(arguments.out)
    if not arguments.texts:
        for recipe in ("base.yaml", "demo.yaml"):
            if not (arguments.out / recipe).exists():
                shutil.copy(DATA / recipe, arguments.out / recipe)
        train_base(arguments.out, progress)


if __name__ == "__main__":
    main()
