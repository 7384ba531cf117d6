"""The same engine on a GPU: what is said there is what a CPU says, alone and together."""

from __future__ import annotations

import pytest
import torch

from hanhua.serve.engine import Engine, Job
from hanhua.serve.sampling import Sampling
from hanhua.serve.served import Served, load_served

from .test_engine import jobs, run_all


def said(served: Served, todo: list[Job], together: bool) -> list[str]:
    """The answers to all jobs, served at once or one after another."""
    engine = Engine(served, max_running=4, max_waiting=20, prefill_tokens=24)
    try:
        if together:
            return [sink.text for sink in run_all(engine, todo)]
        return [run_all(engine, [job])[0].text for job in todo]
    finally:
        engine.close()


def test_answers_on_a_gpu_are_those_on_a_cpu(gpu, chat_folder):
    """In float32, where sums in another order hardly ever turn a choice."""
    on_cpu, on_gpu = (load_served(chat_folder, device=d, dtype="float32") for d in ("cpu", gpu))
    assert next(on_gpu.model.parameters()).device.type == gpu
    todo = jobs(on_gpu, 12)
    together, alone = said(on_gpu, todo, True), said(on_gpu, todo, False)
    assert together == alone
    greedy = [i for i, job in enumerate(todo) if not job.sampling.temperature]
    there = said(on_cpu, [todo[i] for i in greedy], True)
    assert sum(a == together[i] for a, i in zip(there, greedy, strict=True)) >= len(greedy) - 1
    assert len(set(together)) > 8


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_whoever_is_there(gpu, chat_folder, dtype):
    served = load_served(chat_folder, device=gpu, dtype=dtype)
    assert next(served.model.parameters()).dtype == getattr(torch, dtype)
    todo = [
        Job(prompt=tuple(served.encode_text("Tom " * (1 + i))), max_tokens=20, sampling=Sampling())
        for i in range(6)
    ]
    texts = said(served, todo, True)
    assert all(texts)
