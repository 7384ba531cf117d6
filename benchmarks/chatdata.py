"""Conversations to rows, beside TRL and LLaMA-Factory; padding; masks; answer loss after tuning.

    python benchmarks/chatdata.py --quick          # the built-in conversations, no peers, seconds
    HANHUA_DATA=... python benchmarks/chatdata.py --model FOLDER --peers trl=PYTHON
        llamafactory=PYTHON [--records N] [--row-tokens 512] [-n 3] [--losses] [--seeds 2]

``read, clean, dedup`` is the stage ``chatdata``; ``tokenise, pack`` is what ``finetune`` does
before its first step. Peers only read, tokenise and pack: they neither clean nor drop repeated
questions. All get the same plain files, the same tokenizer and the same text around turns, each in
a process of its own on one thread, in turns; seconds are counted inside, after a first small set,
without imports. Files that not all can read are left out of the comparison, and hanhua's own rate
over all that it can read stands beside it.

Masks: each engine's labels of the same conversations, against the answers and their ends.
``--losses`` tunes the model on as many Chinese as English conversations with hanhua and with TRL,
the same steps, rows and rate, and measures both models on the same held-out answers.

Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hanhua.chat.conversation import Conversation, Turn, read_conversations
from hanhua.chat.template import get_template
from hanhua.demo import build
from hanhua.model.load import load_tokenizer
from hanhua.tokens.conversations import fit
from peers.chat_files import File, demo_files, shared_files, write_messages
from peers.chat_losses import answer_losses
from peers.chat_masks import compare
from peers.chat_page import loss_table, mask_table, speed_table, summary
from peers.machine import cpu_name
from peers.measure import HERE, measure, script

TEMPLATE = "hanhua"
LEARNING_RATE = 5e-4
WARM = [Conversation(str(i), "", (Turn("user", f"{i} + 1?"), Turn("assistant", f"{i + 1}")))
        for i in range(20)]  # fmt: skip
ROWS_A_STEP = 8


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(options, Path(name))
        speeds = bench.speeds()
        print(speed_table(speeds), flush=True)
        masks = bench.masks()
        print(mask_table(masks), flush=True)
        losses = bench.losses() if options.losses else {}
        print(loss_table(losses), flush=True)
    print(json.dumps({
        "benchmark": "chatdata", "quick": options.quick, "cpu": cpu_name(), "n": options.n,
        "row_tokens": options.row_tokens, "records_a_file": options.records, "speeds": speeds,
        "summary": summary(speeds), "masks": masks, "losses": losses, "unread": bench.unread,
        "files": {"compared": len(bench.shared), "hanhua alone": len(bench.ours)},
    }, sort_keys=True, ensure_ascii=False))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="built-in conversations, no peers")
    parser.add_argument("--model", type=Path, help="a folder; its tokenizer is used throughout")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--records", type=int, help="at most so many of each file")
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--dedup", choices=["near", "exact", "none"], default="near")
    parser.add_argument("--compared", type=int, default=4000, help="conversations whose labels are")
    parser.add_argument("--losses", action="store_true", help="tune and measure too")
    parser.add_argument("--conversations", type=int, default=1500, help="a language, for --losses")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-n", type=int, help="rounds")
    options = parser.parse_args()
    data = Path(os.environ.get("HANHUA_DATA", ""))
    options.data = data / "instructions"
    options.quick = options.quick or not os.environ.get("HANHUA_DATA")
    options.model = options.model or build.DATA / "tiny-en"
    options.n = options.n or (1 if options.quick else 3)
    options.pythons = dict(pair.split("=", 1) for pair in options.peers)
    if unknown := set(options.pythons) - {"trl", "llamafactory"}:
        parser.error(f"no such peer: {', '.join(unknown)}")
    return options


class Bench:
    """The files, the model with its template, and the engines.

    Args:
        options: of the command line.
        folder: for everything that is written.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder, self.runs = options, folder, 0
        make, source = (demo_files, build.DATA) if options.quick else (shared_files, options.data)
        self.shared, self.ours, self.unread = make(source, folder / "files", options.records)
        self.warm = [write_messages(folder / "warm.jsonl", WARM)]
        self.tokenizer, self.model = load_tokenizer(options.model), folder / "model"
        self.tokenizer.chat_template = get_template(TEMPLATE).jinja
        self.model.mkdir()
        for path in options.model.iterdir():
            if path.suffix in (".json", ".safetensors") and "token" not in path.name:
                (self.model / path.name).write_bytes(path.read_bytes())
        self.tokenizer.save_pretrained(self.model)

    def run(self, engine: str, files: list[File], **job: Any) -> tuple[dict[str, Any], Path]:
        """Start an engine, wait for it, and return its line and its folder."""
        self.runs += 1
        work = self.folder / f"{self.runs:02d}-{engine}"
        work.mkdir()
        whole = {
            "files": files, "warm": self.warm, "model": str(self.model),
            "row_tokens": self.options.row_tokens, "work": str(work), "template": TEMPLATE,
            "dedup": self.options.dedup, "held_out": 0,
            "out": str(work / "out"), **job,
        }  # fmt: skip
        (work / "job.json").write_text(json.dumps(whole))
        usage = measure(
            [self.options.pythons.get(engine, HERE), script(f"chat_{engine}"),
             str(work / "job.json")], environment(work),
        )  # fmt: skip
        line = next(x for x in reversed(usage.output.splitlines()) if x.startswith('{"'))
        return {**json.loads(line), "rss_mb": usage.rss_mb}, work

    def speeds(self) -> dict[str, list[dict[str, Any]]]:
        """Every engine's rounds, in turns; and hanhua's over all files that it reads."""
        found: dict[str, list[dict[str, Any]]] = {}
        records = 0
        for _ in range(self.options.n):
            for engine in ("hanhua", *self.options.pythons):
                line, work = self.run(engine, self.shared, do="prepare", records=records)
                found.setdefault(engine, []).append(line)
                if engine == "hanhua":
                    records, self.chatdata = line["records"], work / "chatdata"
            if self.ours:
                line, work = self.run("hanhua", self.shared + self.ours, do="prepare")
                found.setdefault("hanhua, all files", []).append(line)
        return found

    def masks(self) -> dict[str, Any]:
        """What each peer learns from the same conversations."""
        every = list(read_conversations(self.chatdata / "train.parquet"))
        some = every[:: max(len(every) // self.options.compared, 1)]
        file = write_messages(self.folder / "compared.jsonl", some)
        found = {}
        for engine in self.options.pythons:
            _, work = self.run(engine, [file], do="dump")
            found[engine] = compare(work / "out", self.tokenizer, TEMPLATE, some)
        return found

    def losses(self) -> dict[str, Any]:
        """Answer loss of the base, and of both engines' models for each seed."""
        chosen, held_out = self.chosen()
        file = write_messages(self.folder / "tuned.jsonl", chosen)
        found: dict[str, Any] = {"base": [self.measured(self.model, held_out)]}
        tokens = sum(len(self.tokenizer(text)["input_ids"]) for one in chosen
                     for text in (one.user_text, one.target_text))  # fmt: skip
        steps = tokens // (ROWS_A_STEP * self.options.row_tokens)
        for seed in range(self.options.seeds):
            for engine in ("hanhua", *(name for name in self.options.pythons if name == "trl")):
                line, work = self.run(
                    engine, [file], do="train", seed=seed, steps=steps, rows_a_step=ROWS_A_STEP,
                    learning_rate=LEARNING_RATE, schedule="constant", warmup_steps=0, beta2=0.95,
                    weight_decay=0.0,
                )  # fmt: skip
                loss = self.measured(work / "out", held_out)
                found.setdefault(engine, []).append({**line, **loss, "seed": seed, "steps": steps})
        return found

    def measured(self, model: Path, held_out: list[Conversation]) -> dict[str, Any]:
        """By language."""
        return {"answers": answer_losses(model, self.tokenizer, TEMPLATE, held_out)}

    def chosen(self) -> tuple[list[Conversation], list[Conversation]]:
        """As many conversations of each language that fit a row, and others to measure on."""
        template = get_template(TEMPLATE)
        _, work = self.run("hanhua", self.shared, do="prepare", held_out=100)
        chosen: list[Conversation] = []
        held_out: list[Conversation] = []
        for name, found, most in (
            ("train", chosen, self.options.conversations), ("held_out", held_out, 100)
        ):  # fmt: skip
            every = list(read_conversations(work / "chatdata" / f"{name}.parquet"))
            for language in ("en", "zh"):
                mine = [one for one in every if one.language == language]
                mine = mine[:: max(len(mine) // (2 * most), 1)]
                fates = (fit(self.tokenizer, template, one, self.options.row_tokens)[0]
                         for one in mine)  # fmt: skip
                whole = [one for one, fate in zip(mine, fates, strict=True) if fate == "whole"]
                found += whole[:most]
        return chosen, held_out


def environment(work: Path) -> dict[str, str]:
    """One thread, no network, caches in the engine's own folder."""
    return {
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(work / "cache"),
        "HF_DATASETS_CACHE": str(work / "cache"), "CUDA_VISIBLE_DEVICES": "",
        "POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1",
    }  # fmt: skip


if __name__ == "__main__":
    main()
