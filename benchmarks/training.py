"""Tokens per CPU-second of our training loop against a plain Hugging Face loop, in one run.

Both train the same model on the same packed rows in bf16 with AdamW. The plain loop does what one
writes first: a dense mask that keeps the documents of a row apart, the model's own logits, and
PyTorch's cross-entropy. Each has a process of its own, and they take turns, so that a busy machine
is busy for both; CPU seconds are counted, on one thread. Useful tokens only (no padding).

    python benchmarks/training.py [--quick] [--vocab 55296] [--lengths chat]

Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from hanhua.tokens.loader import Batch
from hanhua.tokens.pack import best_fit, cut
from hanhua.tokens.rows import Row
from hanhua.train.attention import enable
from hanhua.train.config import TrainConfig
from hanhua.train.memory import keep_freed_memory
from hanhua.train.objective import flatten, next_token_loss
from hanhua.train.optim import Masters

SHAPE = {
    "hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 6, "num_key_value_heads": 6, "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}  # fmt: skip
IGNORE = -100


def main() -> None:
    options = _options()
    context = multiprocessing.get_context("spawn")
    ends, workers = {}, []
    for name in ("plain", "hanhua"):  # a process each: memory is counted, and set up, for itself
        ends[name], far = context.Pipe()
        workers.append(context.Process(target=work, args=(name, options, far), daemon=True))
        workers[-1].start()
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in ends}
    for _ in range(options.n + 1):  # the first turn warms up and is not counted
        for name, end in ends.items():
            end.send("go")
            turns[name].append(end.recv())
    for end in ends.values():
        end.send("stop")
    report(options, turns)


def work(name: str, options: argparse.Namespace, end: Any) -> None:
    """One loop in a process of its own: a step whenever it is told."""
    torch.set_num_threads(1)
    rows = make_rows(options.lengths, options.row_tokens, options.batch_tokens, options.vocab)
    step = {"plain": plain_loop, "hanhua": our_loop}[name](options.vocab)
    while end.recv() == "go":
        limit = matmul_limit(options.vocab)
        start = time.process_time()
        loss = step(rows)
        seconds = time.process_time() - start
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        end.send({"seconds": seconds, "loss": loss, "limit": limit, "rss": rss})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute on a free core")
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--lengths", choices=["full", "chat"], default="full")
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("-n", type=int, help="counted turns")
    options = parser.parse_args()
    options.n = options.n or (3 if options.quick else 7)
    options.batch_tokens = options.batch_tokens or (2048 if options.quick else 8192)
    return options


def make_rows(lengths: str, row_tokens: int, batch_tokens: int, vocab: int) -> Batch:
    """Packed rows of random ids: one document a row, or short ones with a heavy tail."""
    rng = np.random.default_rng(0)
    if lengths == "full":
        sizes = np.full(batch_tokens // row_tokens, row_tokens)
    else:
        drawn = np.clip(rng.lognormal(4.6, 0.9, 4096).astype(int), 4, row_tokens)
        sizes = drawn[np.cumsum(drawn) <= batch_tokens]
    rows = []
    for pieces in best_fit(cut(sizes, row_tokens), row_tokens):
        found = np.array([piece.length for piece in pieces], np.int32)
        rows.append(Row(rng.integers(3, vocab, found.sum()), None, found, "en"))
    return Batch(tuple(rows))


def make_model(vocab: int) -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab, **SHAPE)).train()


def our_loop(vocab: int) -> Callable[[Batch], float]:
    model = make_model(vocab)
    masters = Masters(model, TrainConfig())
    masters.begin(TrainConfig().phases[0])
    enable(model)
    keep_freed_memory()

    def step(batch: Batch) -> float:
        flat = flatten(batch, ["en"])
        loss, _ = next_token_loss(model, flat, 1 / flat.n_targets)
        torch.autograd.backward(loss)
        masters.collect()
        masters.step(1e-4)
        return float(loss.detach())

    return step


def plain_loop(vocab: int) -> Callable[[Batch], float]:
    """bf16 autocast over fp32 weights, rows padded to one length, a dense mask for each row."""
    model = make_model(vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)

    def step(batch: Batch) -> float:
        width = max(len(row.tokens) for row in batch.rows)
        shape = (len(batch.rows), width)
        ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, IGNORE)
        mask = torch.eye(width, dtype=torch.bool).repeat(len(batch.rows), 1, 1, 1)
        for i, row in enumerate(batch.rows):
            ids[i, : len(row.tokens)] = torch.from_numpy(row.tokens)
            at = 0
            for n in row.lengths.tolist():
                positions[i, at : at + n] = torch.arange(n)
                labels[i, at : at + n - 1] = ids[i, at + 1 : at + n]
                mask[i, 0, at : at + n, at : at + n] = torch.ones(n, n, dtype=torch.bool).tril()
                at += n
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def matmul_limit(vocab: int) -> float:
    """FLOP/s of this core at the head's shape in bf16: best of three."""
    a = torch.randn(512, SHAPE["hidden_size"]).bfloat16()
    b = torch.randn(SHAPE["hidden_size"], vocab).bfloat16()
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        torch.mm(a, b)
        best = max(best, 2 * a.numel() * vocab / (time.process_time() - start))
    return best


def flops_per_token(vocab: int, rows: Batch) -> float:
    """Matrix products of a token, forward and backward; attention causal, inside documents."""
    hidden, layers = SHAPE["hidden_size"], SHAPE["num_hidden_layers"]
    body = layers * (4 * hidden**2 + 3 * hidden * SHAPE["intermediate_size"])
    lengths = np.concatenate([row.lengths for row in rows.rows]).astype(float)
    seen = float((lengths**2).sum() / lengths.sum()) / 2  # keys that a mean token attends to
    return 6 * (body + vocab * hidden) + 12 * layers * hidden * seen


def report(options: argparse.Namespace, turns: dict[str, list[dict[str, float]]]) -> None:
    rows = make_rows(options.lengths, options.row_tokens, options.batch_tokens, options.vocab)
    flops = flops_per_token(options.vocab, rows)
    limit = statistics.median(turn["limit"] for found in turns.values() for turn in found)
    loops: dict[str, dict[str, float]] = {}
    print(f"{'loop':<8}{'tok / CPU-s':>12}{'spread':>14}{'of limit':>10}{'RSS GB':>8}{'loss':>9}")
    for name, found in turns.items():
        speeds = [rows.n_tokens / turn["seconds"] for turn in found[1:]]
        median, low, high = statistics.median(speeds), min(speeds), max(speeds)
        rss, loss = max(turn["rss"] for turn in found), found[0]["loss"]
        share = median * flops / limit
        loops[name] = {
            "tokens_per_cpu_second": round(median, 1), "min": round(low, 1), "max": round(high, 1),
            "n": len(speeds), "share_of_matmul_limit": round(share, 3), "peak_rss_bytes": rss,
            "first_loss": round(loss, 4),
        }  # fmt: skip
        spread = f"{low:,.0f}-{high:,.0f}"
        print(f"{name:<8}{median:>12,.0f}{spread:>14}{share:>10.1%}{rss / 1e9:>8.2f}{loss:>9.4f}")
    pairs = zip(turns["plain"][1:], turns["hanhua"][1:], strict=True)
    ratio = statistics.median(plain["seconds"] / ours["seconds"] for plain, ours in pairs)
    print(f"ratio {ratio:.2f} (median of turns), matmul limit {limit / 1e9:.0f} GFLOP/s")
    print(json.dumps({
        "benchmark": "training", "loops": loops, "ratio": round(ratio, 3),
        "matmul_limit_flops": round(limit), "flops_per_token": round(flops),
        "vocab": options.vocab, "lengths": options.lengths, "row_tokens": options.row_tokens,
        "tokens_a_step": rows.n_tokens, "threads": 1, "quick": options.quick, "cpu": _cpu(),
        "torch": torch.__version__, "transformers": transformers.__version__,
    }, sort_keys=True))  # fmt: skip


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
