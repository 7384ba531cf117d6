"""What giving a model new rows costs: seconds, peak memory and bytes written, by streaming.

    python benchmarks/expansion.py --quick                 # a small shape, seconds
    python benchmarks/expansion.py --shape 7b --dir /big   # 13.5 GB checkpoint, needs 28 GB of disk
    python benchmarks/expansion.py --shape 70b --plan      # from the config alone, writes nothing

Makes a bf16 checkpoint of the shape in shards, with a 32,000-token SentencePiece tokenizer and
23,296 more pieces of 3.9 base tokens each, and expands it in a process of its own, so that the
peak is that of expanding. The embedding and the head hold random numbers; all other tensors are
holes in the file, read as zeros, so reading is cheaper than from a cold disk, while every byte of
a rewritten file is really written and synced. With --shards release, embedding and head lie in
files as in the model's release (both of two for 7B, so everything is rewritten); --shards apart
has them in files of their own, as a cut by size may; then the rest is only linked.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig

import hanhua
from hanhua.core.files import read_json, write_json
from hanhua.model.config import ExpandConfig
from hanhua.model.load import INDEX
from hanhua.model.plan_rows import plan_expansion
from hanhua.model.rows import expand_model
from hanhua.vocab.convert import NORMAL, convert
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

OLD, ADD = 32_000, 23_296
TINY = Path(hanhua.__file__).parent / "demo" / "data" / "tiny-en"
SHAPES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8,
              "num_attention_heads": 8},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32},
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
            "num_attention_heads": 40},
    "70b": {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
            "num_attention_heads": 64, "num_key_value_heads": 8},
}  # fmt: skip
SHARD_BYTES = {"small": 60_000_000, "7b": 9_980_000_000, "13b": 9_950_000_000,
               "70b": 9_850_000_000}  # fmt: skip
CHUNK_ROWS = 4096


def config_of(shape: str) -> LlamaConfig:
    return LlamaConfig(vocab_size=OLD, dtype="bfloat16", **SHAPES[shape])


def write_tokenizers(base: Path, vocab: Path) -> None:
    """The shipped tokenizer, filled up to 32,000 pieces, and the same with 23,296 more."""
    files = read_tokenizer(TINY)
    assert files.proto is not None
    known = {p.piece for p in files.proto.pieces}
    letters = "abcdefghijklmnopqrstuvwxyz"
    latin = (a + b + c + d for a in letters for b in letters for c in letters for d in letters)
    draw = random.Random(3)
    han = dict.fromkeys(
        chr(draw.randrange(0x4E00, 0x9FA5)) + chr(draw.randrange(0x4E00, 0x9FA5))
        for _ in range(ADD + 2000)
    )
    score = min(p.score for p in files.proto.pieces)
    for text in latin:
        if len(files.proto.pieces) == OLD:
            break
        if text not in known:
            score -= 1
            files.proto.pieces.add(piece=text, score=score, type=NORMAL)
    save(files, base)
    lines = []
    for i, text in enumerate(list(han)[:ADD]):
        files.proto.pieces.add(piece=text, score=score - 1 - i, type=NORMAL)
        base_ids = [draw.randrange(3, OLD) for _ in range(draw.choice((2, 3, 4, 4, 5, 5)))]
        lines.append(json.dumps({"id": OLD + i, "piece": text, "count": 1, "base_ids": base_ids}))
    save(files, vocab / "tokenizer")
    (vocab / "pieces.jsonl").write_text("\n".join(lines) + "\n")


def save(files: TokenizerFiles, folder: Path) -> None:
    assert files.proto is not None
    TokenizerFiles(convert(files.proto, True), files.proto, files.settings).save(folder)


def write_checkpoint(folder: Path, shape: str, apart: bool) -> int:
    """Shards of holes, with random ends; returns the bytes of all of them."""
    config = config_of(shape)
    config.save_pretrained(folder)
    with torch.device("meta"):
        state = AutoModelForCausalLM.from_config(config).state_dict()
    names = sorted(state, key=lambda n: (n == "lm_head.weight", n != "model.embed_tokens.weight"))
    shards: list[list[str]] = [[]]
    size = 0
    for name in names:
        own = apart and (name == "lm_head.weight" or shards[-1] == ["model.embed_tokens.weight"])
        if shards[-1] and (size + 2 * state[name].numel() > SHARD_BYTES[shape] or own):
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += 2 * state[name].numel()
    places = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        places |= dict.fromkeys(shard, file)
        write_shard(folder / file, {name: tuple(state[name].shape) for name in shard})
    total = sum(2 * t.numel() for t in state.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
    return total


def write_shard(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(1)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
        for name in shapes.keys() & {"model.embed_tokens.weight", "lm_head.weight"}:
            file.seek(8 + len(text) + header[name]["data_offsets"][0])
            for start in range(0, shapes[name][0], CHUNK_ROWS):
                rows = min(CHUNK_ROWS, shapes[name][0] - start)
                chunk = 0.02 * torch.randn(rows, shapes[name][1], generator=generator)
                file.write(chunk.to(torch.bfloat16).view(torch.uint8).numpy().tobytes())


def peak_bytes() -> int:
    """The most memory this process had; ru_maxrss would count its parent's before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(base: Path, vocab: Path, out: Path, threads: int, results: Any) -> None:
    """In a process of its own: expand, and say what it took."""
    torch.set_num_threads(threads)
    before = peak_bytes()
    start, cpu = time.perf_counter(), time.process_time()
    rows = expand_model(base, vocab, out, ExpandConfig(), seed=17)
    results.put({
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_rss_bytes": peak_bytes(),
        "rss_bytes_before": before,
        "rows": {k: rows[k] for k in ("old_rows", "new_rows", "padded_rows")},
    })  # fmt: skip


def run(shape: str, apart: bool, folder: Path, threads: int) -> dict[str, Any]:
    base, vocab, out = folder / "base", folder / "vocab", folder / "out"
    base.mkdir()
    write_tokenizers(base, vocab)
    size = write_checkpoint(base, shape, apart)
    plan = plan_expansion(base, ADD)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=measure, args=(base, vocab, out, threads, results))
    process.start()
    found: dict[str, Any] = results.get()
    process.join()
    written = [p for p in out.glob("*.safetensors") if os.stat(p).st_nlink == 1]
    index = read_json(out / INDEX)
    assert index["metadata"]["total_size"] == size + plan["added_bytes"], "sizes do not add up"
    return found | {
        "checkpoint_bytes": size, "shards": len(list(base.glob("*.safetensors"))),
        "bytes_written": sum(p.stat().st_size for p in written), "plan": plan,
    }  # fmt: skip


def line(result: dict[str, Any]) -> str:
    gb = {name: f"{result[name] / 1e9:.2f} GB" for name in result if "bytes" in name}
    return (
        f"{result['shape']}: {gb['checkpoint_bytes']} in {result['shards']} files, +{ADD} rows: "
        f"{result['seconds']} s ({result['cpu_seconds']} CPU-s), peak {gb['peak_rss_bytes']} RSS "
        f"({gb['rss_bytes_before']} before), {gb['bytes_written']} written"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small shape, whatever is asked")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--plan", action="store_true", help="only plan, from the config")
    parser.add_argument("--shards", choices=("release", "apart"), default="release")
    parser.add_argument("--dir", type=Path, help="where to put the checkpoint (default: temporary)")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    shape = "small" if asked.quick else asked.shape
    result: dict[str, Any] = {
        "shape": shape, "added": ADD, "shards_as": asked.shards,
        "python": platform.python_version(), "torch": torch.__version__,
        "transformers": transformers.__version__, "cores": os.cpu_count(), "threads": asked.threads,
    }  # fmt: skip
    if asked.dir is not None:
        asked.dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="expansion-", dir=asked.dir))
    try:
        if asked.plan:
            config_of(shape).save_pretrained(folder)
            start = time.perf_counter()
            result["plan"] = plan_expansion(folder, ADD)
            result["plan_seconds"] = round(time.perf_counter() - start, 2)
        else:
            result |= run(shape, asked.shards == "apart", folder, asked.threads)
            print(line(result))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
