"""Memory that `hanhua plan` predicts, held against what training took.

Each case has a fresh process: it trains a toy first, so that libraries are loaded, then a model of
the case's shapes for two steps by the training loop itself, and reports its highest resident memory
above what it had before the model. On a CPU malloc is told to give freed blocks back, as tensors
are what is predicted; ``--as-run`` leaves it as training sets it, which is faster and holds more
(see docs/guides/plan.md). On a GPU PyTorch's own count of allocated bytes is taken.

    python benchmarks/plan.py [--quick] [--as-run] [--only WORD] [--table]

``--table`` prints planned devices and memory for large models, and measures nothing. Prints a
table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hanhua.model.experts import Experts
from hanhua.model.known import known_facts
from hanhua.model.shapes import QK_NORM, Shapes
from hanhua.train.config import TrainConfig
from hanhua.train.cost.accelerators import TABLE
from hanhua.train.cost.fit import settle
from hanhua.train.cost.job import Job
from hanhua.train.cost.memory import moments, peak

SHAPES = {
    "2M": (128, 4, 4, 4, 344, 8000, True),
    "15M": (288, 6, 6, 6, 768, 32000, True),
    "15M untied": (288, 6, 6, 6, 768, 32000, False),
    "15M, 55,296 rows": (288, 6, 6, 6, 768, 55296, True),
    "15M untied, 55,296 rows": (288, 6, 6, 6, 768, 55296, False),
    "60M": (512, 12, 8, 4, 1536, 32000, True),
    "110M": (768, 12, 12, 12, 2048, 32000, True),
    "1.1B": (2048, 22, 32, 4, 5632, 55296, False),
    "7B": (4096, 32, 32, 32, 11008, 55296, False),
}
"""hidden_size, layers, heads, kv_heads, intermediate_size, vocab_size, tied."""
EXPERTS = {
    "8 experts, 45M": ("mixtral", (288, 6, 6, 6, 768, 32000, True), (8, 2, 768)),
    "32 experts, 60M": ("qwen3_moe", (288, 6, 6, 6, 768, 32000, False), (32, 4, 256)),
}
"""Family, shapes of what is no expert; experts of a block, those of a token, width of one."""
SHAPES |= {name: shapes for name, (_, shapes, _) in EXPERTS.items()}
ROW_TOKENS = 512


def case(
    shape: str, batch: int, micro: int, precision: str = "fp32", **more: Any
) -> dict[str, Any]:
    return {"shape": shape, "batch": batch, "micro": micro, "precision": precision, **more}


QUICK = [
    case("2M", 2048, 1024), case("2M", 2048, 2048, again="full"),
    case("2M", 2048, 2048, lora={"rank": 8}),
]  # fmt: skip
CASES = [
    case("15M", 2048, 2048), case("15M", 4096, 2048), case("15M", 8192, 8192),
    case("15M untied", 2048, 1024), case("15M, 55,296 rows", 4096, 2048),
    case("15M untied, 55,296 rows", 2048, 2048),
    case("15M", 8192, 8192, again="selective"), case("15M", 8192, 8192, again="full"),
    case("15M", 4096, 2048, phases=[{"train": "embeddings"}]),
    case("15M", 4096, 2048, lora={"rank": 16}),
    case("15M", 4096, 2048, lora={"rank": 16, "embeddings": True}),
    case("15M", 4096, 2048, lora={"rank": 16, "dropout": 0.1, "dora": True}),
    case("15M", 1024, 512, "bf16"), case("15M", 512, 512, "bf16", lora={"rank": 16}),
    case("8 experts, 45M", 4096, 2048), case("8 experts, 45M", 2048, 2048, again="full"),
    case("8 experts, 45M", 4096, 2048, lora={"rank": 16}),
    case("32 experts, 60M", 4096, 2048), case("32 experts, 60M", 4096, 2048, again="selective"),
    case("32 experts, 60M", 1024, 512, "bf16"),
    case("32 experts, 60M", 4096, 2048, lora={"rank": 16, "targets": ["q_proj", "v_proj"]}),
    case("60M", 2048, 1024), case("60M", 1024, 1024, again="full"),
    case("60M", 2048, 1024, lora={"rank": 64, "embeddings": True}),
    case("110M", 1024, 512), case("110M", 2048, 2048),
    case("15M", 4096, 2048, ranks=2), case("15M untied", 8192, 2048, ranks=2),
    case("15M", 1024, 512, "bf16", ranks=2),
    case("60M", 4096, 1024, ranks=2, again="full"),
    case("15M", 4096, 2048, ranks=2, lora={"rank": 16, "embeddings": True}),
]  # fmt: skip
GPU_CASES = [
    case("1.1B", 16_384, 8192, "bf16"), case("1.1B", 16_384, 16_384, "bf16", again="full"),
    case("1.1B", 16_384, 8192, "bf16", lora={"rank": 64, "embeddings": True}),
    case("1.1B", 16_384, 8192, "bf16", lora={"rank": 16, "base_bits": 4}),
    case("110M", 32_768, 16_384, "bf16"), case("110M", 16_384, 16_384, "bf16"),
    case("110M", 32_768, 32_768, "bf16", again="selective"),
    case("110M", 32_768, 32_768, "bf16", again="full"),
    case("110M", 32_768, 32_768, "bf16", lora={"rank": 16}),
    case("110M", 16_384, 8192, "fp32"),
    case("1.1B", 16_384, 8192, "bf16", compiled=True),
    case("110M", 32_768, 16_384, "bf16", compiled=True),
    case("110M", 16_384, 8192, "bf16", compiled=True, again="full"),
]  # fmt: skip
"""On a GPU; the case in 4 bits needs bitsandbytes."""


def main() -> None:
    options = _options()
    if options.case:
        print(json.dumps(measure(json.loads(options.case), options.as_run)))
        return
    if options.table:
        print("\n".join(table()))
        return
    cases = QUICK if options.quick else GPU_CASES if _has_cuda() else CASES
    found = [row(each, options.as_run) for each in cases if options.only in title(each)]
    rows = [each for each in found if "failed" not in each]
    if not rows:
        sys.exit("no case was measured" if found else f"no case has {options.only!r} in its title")
    print(f"\n{'case':<62} {'predicted MB':>12} {'measured MB':>12} {'error':>7}")
    for each in rows:
        print(shown(each))
    worst = max(abs(each["error"]) for each in rows)
    print(json.dumps({
        "benchmark": "plan", "worst_error": worst, "as_run": options.as_run, "cases": rows,
        "failed": {each["case"]: each["failed"] for each in found if "failed" in each},
        "machine": platform.machine(), "system": platform.platform(),
    }))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute on a free core")
    parser.add_argument("--as-run", action="store_true", help="leave malloc as training sets it")
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    parser.add_argument("--table", action="store_true", help="plans for large models")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def title(each: dict[str, Any]) -> str:
    more = {
        key: value for key, value in each.items() if key in ("again", "lora", "phases", "ranks")
    }
    if each.get("compiled"):
        more["compiled"] = "blocks"
    text = f"{each['shape']}, {each['precision']}, {each['batch']} by {each['micro']} tokens"
    return text + "".join(f", {key} {value}" for key, value in more.items())


def shown(found: dict[str, Any]) -> str:
    return (
        f"{found['case']:<62} {found['predicted'] / 1e6:>12,.0f} {found['measured'] / 1e6:>12,.0f} "
        f"{found['error']:>+7.1%}"
    )


def row(each: dict[str, Any], as_run: bool) -> dict[str, Any]:
    """Predict, then measure."""
    predicted = predict(each)
    ranks, port = each.get("ranks", 1), _free_port()
    command = [sys.executable, __file__, "--case", json.dumps(each)]
    command += ["--as-run"] if as_run else []
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=os.environ | {"BENCH_FOLDER": folder} | _rank(rank, ranks, port),
            )
            for rank in range(ranks)
        ]  # fmt: skip
        ended = [(process, *process.communicate()) for process in started]
    for process, _, complaint in ended:
        if process.returncode:
            why = (complaint.splitlines() or [f"it ended with {process.returncode}"])[-1]
            print(f"{title(each)}: {complaint or why}", file=sys.stderr, flush=True)
            return {"case": title(each), "predicted": predicted[0], "failed": why}
    each_rank = [json.loads(out.splitlines()[-1]) for _, out, _ in ended]
    found = max(each_rank, key=lambda one: one["measured"])
    error = predicted[0] / found["measured"] - 1
    result = {"case": title(each), "predicted": predicted[0], "moment": predicted[1],
              "error": round(error, 4), **found}  # fmt: skip
    print(shown(result), file=sys.stderr, flush=True)
    print(json.dumps(result), flush=True)  # the last line has all, if it is lived to see
    return result


def _rank(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torchrun would set."""
    if ranks == 1:
        return {}
    return {
        "RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# -- what is predicted --------------------------------------------------------------------------


def predict(each: dict[str, Any], cuda: bool | None = None) -> tuple[int, str]:
    """Bytes at the fullest moment of training, and which it is; saving is not measured here."""
    job = job_of(each, _has_cuda() if cuda is None else cuda)
    found = [m for phase in job.phases for m in moments(job, phase) if m.moment != "save"]
    fullest = max(found, key=lambda m: m.total)
    return fullest.total, fullest.moment


def job_of(each: dict[str, Any], cuda: bool) -> Job:
    hidden, layers, heads, kv_heads, inner, vocab, tied = SHAPES[each["shape"]]
    shapes = Shapes(
        hidden_size=hidden, layers=layers, heads=heads, kv_heads=kv_heads,
        head_dim=hidden // heads, intermediate_size=inner, vocab_size=vocab, tied=tied,
        **_experts(each["shape"]),
    )  # fmt: skip
    return Job(
        shapes=shapes, section=section_of(each), precision=each["precision"],
        row_tokens=ROW_TOKENS, micro_batch_tokens=each["micro"], again=each.get("again", "none"),
        compiled=each.get("compiled", False), cuda=cuda, devices=each.get("ranks", 1),
    )  # fmt: skip


def _experts(shape: str) -> dict[str, Any]:
    if shape not in EXPERTS:
        return {}
    kind, _, (count, per_token, size) = EXPERTS[shape]
    experts = Experts(count=count, per_token=per_token, size=size)
    return {"experts": experts, "qk_norm": kind in QK_NORM}


def section_of(each: dict[str, Any]) -> TrainConfig:
    given = {key: each[key] for key in ("lora", "phases") if key in each}
    return TrainConfig(
        batch_tokens=each["batch"], steps=2, guard=None, learning_rate=1e-5,
        precision=each["precision"], **given,
    )  # fmt: skip


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


# -- what is planned for large models -----------------------------------------------------------

LARGE = {
    "1.1B": "tinyllama-1.1b-intermediate-step-1431k-3t", "7B": "llama-2-7b-hf",
    "13B": "llama-2-13b-hf", "70B": "llama-2-70b-hf",
}  # fmt: skip
HOW: dict[str, dict[str, Any] | None] = {
    "all weights": None, "LoRA": {"rank": 64, "embeddings": True},
    "LoRA, 4 bits": {"rank": 64, "embeddings": True, "base_bits": 4},
}  # fmt: skip
DEVICES = (1, 2, 4, 8, 16, 32, 64)


def table(device: str = "h100-80gb", rows: int = 55_296) -> list[str]:
    """Lines of Markdown: GB of a device at the fullest moment, and the settings that it takes."""
    lines = [f"| model | learns | {' | '.join(map(str, DEVICES))} |", "|---" * 9 + "|"]
    for model, name in LARGE.items():
        shapes = Shapes.of(known_facts(name))
        assert shapes is not None
        for how, lora in HOW.items():
            cells = [_cell(shapes.with_rows(rows), lora, n, device) for n in DEVICES]
            lines.append(f"| {model} | {how} | {' | '.join(cells)} |")
    return lines


def _cell(shapes: Shapes, lora: dict[str, Any] | None, devices: int, device: str) -> str:
    if lora and "base_bits" in lora and devices > 1:
        return ""
    job = Job(
        shapes=shapes, section=TrainConfig(batch_tokens=2**22, lora=lora), precision="bf16",
        row_tokens=4096, micro_batch_tokens=16_384, devices=devices, cuda=True,
    )  # fmt: skip
    found = settle(job, TABLE[device])
    if found is None:
        return "–"
    mark = {"none": "", "selective": " s", "full": " f"}[found.again]
    return f"{peak(found).total / 1e9:.0f}{mark} {found.micro_batch_tokens // 1024}k"


# -- what is measured ---------------------------------------------------------------------------


def measure(each: dict[str, Any], as_run: bool) -> dict[str, Any]:
    """Train two steps in this process (or one of several); the bytes that took."""
    import torch

    from hanhua.core.config import Machine
    from hanhua.train import loop, parallel

    if not as_run:
        loop.keep_freed_memory = give_back
    folder, ranks = Path(os.environ["BENCH_FOLDER"]), each.get("ranks", 1)
    kept = {
        k: each[k]
        for k in ("lora", "phases", "again", "precision", "ranks", "compiled")
        if k in each
    }
    toy = {"shape": "2M", "batch": 64 * 2 * ranks, "micro": 64} | kept
    with parallel.joined(Machine()) if ranks > 1 else nullcontext():
        prepare(toy, folder / "toy", row_tokens=64)
        train_two_steps(toy, folder / "toy")
        prepare(each, folder / "case", ROW_TOKENS)
        before = _start()
        parameters = train_two_steps(each, folder / "case")
        found = {"parameters": parameters}
        if torch.cuda.is_available():
            found |= {"measured": torch.cuda.max_memory_allocated()}
            return found | {"device": torch.cuda.get_device_name()}
        return found | {"measured": _status("VmHWM") - before, "device": "cpu"}


def _start() -> int:
    """Set the highest mark to what is there now, and return that."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return 0
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(key: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def give_back() -> bool:
    """Let glibc map every large block on its own, and unmap it when it is freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(-3, 256 * 1024) and mallopt(-1, 256 * 1024))


def prepare(each: dict[str, Any], folder: Path, row_tokens: int) -> None:
    """Rows, and for several processes a model folder that all read; made by the first."""
    from hanhua.train import parallel

    if parallel.first():
        rows = 2 * each["batch"] // row_tokens
        make_rows(folder / "rows", rows, row_tokens, SHAPES[each["shape"]][5])
        if parallel.size() > 1:
            make_model(each).save_pretrained(folder / "base")
    parallel.wait()


def make_model(each: dict[str, Any]) -> Any:
    """A LLaMA, or a mixture of experts, with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    hidden, layers, heads, kv_heads, inner, vocab, tied = SHAPES[each["shape"]]
    torch.manual_seed(0)
    kind, more = "llama", {}
    if each["shape"] in EXPERTS:
        kind, _, (count, per_token, size) = EXPERTS[each["shape"]]
        width = "intermediate_size" if kind == "mixtral" else "moe_intermediate_size"
        inner = size
        more = {"num_experts_per_tok": per_token, "head_dim": hidden // heads, width: size}
        more["num_local_experts" if kind == "mixtral" else "num_experts"] = count
    sizes = {"intermediate_size": inner} | more
    config = AutoConfig.for_model(
        kind, vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=tied,
        max_position_embeddings=4096, **sizes,
    )  # fmt: skip
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return AutoModelForCausalLM.from_config(config)


def train_two_steps(each: dict[str, Any], folder: Path) -> int:
    """By the training loop itself; returns the number of parameters."""
    from hanhua.core.config import Machine
    from hanhua.core.progress import Silent
    from hanhua.tokens.rows import PackedRows
    from hanhua.train import parallel
    from hanhua.train.loop import train
    from hanhua.train.save import load_to_train

    base = folder / "base" if parallel.size() > 1 else None
    model = make_model(each) if base is None else load_to_train(base, section_of(each))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    machine = Machine(
        threads=1, micro_batch_tokens=each["micro"],
        activation_checkpointing=each.get("again", "none"), compile=each.get("compiled", False),
    )  # fmt: skip
    train(
        model, PackedRows.open(folder / "rows"), section_of(each), work=folder / "work", seed=0,
        machine=machine, progress=Silent(), source=base,
    )  # fmt: skip
    return parameters


def make_rows(folder: Path, n: int, row_tokens: int, vocab: int) -> None:
    """Full rows of random ids, one document each."""
    import numpy as np

    from hanhua.tokens.rows import Row, RowsWriter

    rng = np.random.default_rng(0)
    writer = RowsWriter(folder, row_tokens, vocab, ["en"])
    for _ in range(n):
        ids = rng.integers(0, vocab, row_tokens)
        writer.add(Row(ids, None, np.array([row_tokens], np.int32), "en"))
    writer.close()


if __name__ == "__main__":
    main()
