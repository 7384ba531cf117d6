"""Whether the server leaks, hangs or mixes up answers while many clients come and go.

A tiny random model is served in a process of its own. Clients stream answers, some leave in the
middle, some send nonsense, some ask for embeddings, log probabilities or several choices. Each
prompt has one greedy answer, taken alone before the crowd comes: any other text is cross-talk.
At the end nothing may run or wait; how memory, threads and open files have grown is shown.

    python benchmarks/soak.py            10 minutes, 50 clients
    python benchmarks/soak.py --quick    10 seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

PROMPTS = ["你好", "Tom", "a b c", "今天天气", "1 + 1 =", "河流", "why", "one two", "再见", "x"]
TOKENS = 24
HANG_SECONDS = 120.0


def make_model(folder: Path) -> None:
    """A random LLaMA over bytes that says something different after every prompt."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<s>", "</s>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(vocab), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=512, initializer_range=0.3,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data[:2] = 0
    model.save_pretrained(folder)


def footprint(pid: int) -> dict[str, int]:
    """Resident memory in MB, threads and open files of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "rss_mb": int(lines["VmRSS"].split()[0]) // 1024,
        "threads": int(lines["Threads"]),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
    }


class Crowd:
    """The clients and what they saw."""

    def __init__(self, client: httpx.AsyncClient, expected: dict[str, str]) -> None:
        self.client, self.expected = client, expected
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def visit(self, draw: random.Random) -> None:
        """One request of one client."""
        kinds = ("whole", "leave", "bad", "n", "drawn", "embed")
        kind = draw.choices(kinds, (6, 3, 1, 1, 1, 1))[0]
        prompt = draw.choice(PROMPTS)
        try:
            async with asyncio.timeout(HANG_SECONDS):
                kind = await getattr(self, f"_{kind}")(prompt, draw) or kind
        except TimeoutError:
            kind = "hung"
            self.wrong.append(f"no end within {HANG_SECONDS:g} s after {prompt!r}")
        except httpx.HTTPError as error:
            kind = "broken"
            self.wrong.append(f"{type(error).__name__} after {prompt!r}")
        self.seen[kind] += 1

    async def _whole(self, prompt: str, draw: random.Random) -> str | None:
        return await self._stream(body(prompt, stream=True), prompt, None)

    async def _leave(self, prompt: str, draw: random.Random) -> str | None:
        asked = body(prompt, stream=True, max_tokens=400)
        return await self._stream(asked, prompt, draw.randrange(1, 12))

    async def _n(self, prompt: str, draw: random.Random) -> str | None:
        return self._check(await self._post(body(prompt, n=3, logprobs=2)), prompt)

    async def _bad(self, prompt: str, draw: random.Random) -> str | None:
        asked = body(prompt, **draw.choice([{"n": -1}, {"stop": 5}, {"what": 1}, {"seed": "x"}]))
        answer = await self._post(asked)
        if answer.status_code != 400:
            self.wrong.append(f"{answer.status_code} for {asked}")
        return None

    async def _drawn(self, prompt: str, draw: random.Random) -> str | None:
        asked = body(prompt, temperature=1.0, max_tokens=40, frequency_penalty=1.0)
        answer = await self._post(asked)
        return "busy" if answer.status_code == 429 else None

    async def _embed(self, prompt: str, draw: random.Random) -> str | None:
        answer = await self.client.post("/v1/embeddings", json={"input": [prompt] * 3})
        if answer.status_code == 200:
            first, *others = (item["embedding"] for item in answer.json()["data"])
            if any(other != first for other in others):
                self.wrong.append(f"embeddings of {prompt!r} differ")
        return "busy" if answer.status_code == 429 else None

    async def _post(self, asked: dict[str, Any]) -> httpx.Response:
        return await self.client.post("/v1/completions", json=asked)

    def _check(self, answer: httpx.Response, prompt: str) -> str | None:
        if answer.status_code == 429:
            return "busy"
        for choice in answer.json()["choices"]:
            self._compare(choice["text"], prompt)
        return None

    async def _stream(self, asked: dict[str, Any], prompt: str, pieces: int | None) -> str | None:
        """Read a stream to its end, or leave after so many pieces."""
        text = ""
        async with self.client.stream("POST", "/v1/completions", json=asked) as answer:
            if answer.status_code == 429:
                return "busy"
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    text += json.loads(line[6:])["choices"][0]["text"]
                    pieces = pieces - 1 if pieces is not None else None
                if pieces == 0:
                    break
        if pieces is None:
            self._compare(text, prompt)
        return None

    def _compare(self, text: str, prompt: str) -> None:
        if text != self.expected[prompt]:
            self.wrong.append(f"{text[:40]!r} after {prompt!r}: not its own answer")


def body(prompt: str, **more: Any) -> dict[str, Any]:
    """A greedy request."""
    return {"prompt": prompt, "max_tokens": TOKENS, "temperature": 0, **more}


async def soak(url: str, pid: int, clients: int, seconds: float) -> dict[str, Any]:
    """Let the crowd in for so long, then look at what is left."""
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients // 2)
    async with httpx.AsyncClient(base_url=url, timeout=HANG_SECONDS, limits=limits) as client:
        expected = {}
        for prompt in PROMPTS:
            answer = await client.post("/v1/completions", json=body(prompt))
            expected[prompt] = answer.json()["choices"][0]["text"]
        crowd = Crowd(client, expected)
        start = time.monotonic()
        marks: list[dict[str, int]] = []

        async def one(number: int) -> None:
            draw = random.Random(number)
            while time.monotonic() - start < seconds:
                await crowd.visit(draw)
                await asyncio.sleep(draw.random() * 0.2)

        async def watch() -> None:
            await asyncio.sleep(seconds / 5)  # what a first crowd takes is no leak
            marks.append(footprint(pid))

        await asyncio.gather(watch(), *(one(i) for i in range(clients)))
        await asyncio.sleep(1)
        marks.append(footprint(pid))
        text = (await client.get("/metrics")).text
    gauges = ("hanhua_running ", "hanhua_waiting ")
    lines = [line for line in text.splitlines() if line.startswith(gauges)]
    left = [line for line in lines if not line.endswith(" 0")]
    faults = [line for line in text.splitlines() if 'status="5' in line]
    return {"distinct_answers": len(set(expected.values())), "requests": sum(crowd.seen.values()),
            "kinds": dict(sorted(crowd.seen.items())), "wrong": len(crowd.wrong),
            "wrong_first": crowd.wrong[:5], "left_in_engine": left, "faults": faults,
            "after_a_fifth": marks[0], "at_the_end": marks[1]}  # fmt: skip


def serve_apart(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A server process and its address."""
    code = ("import sys; from pathlib import Path; from hanhua.core.progress import Lines; "
            "from hanhua.serve.run import serve; "
            "serve(Path(sys.argv[1]), port=0, threads=1, progress=Lines(sys.stdout))")  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], text=True,
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if "API: " in line:
            return process, line.split("API: ")[1].split("/v1")[0]
    raise SystemExit("the server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 seconds")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=50)
    asked = parser.parse_args()
    seconds = 10.0 if asked.quick else asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        process, url = serve_apart(Path(folder))
        try:
            result = asyncio.run(soak(url, process.pid, asked.clients, seconds))
        finally:
            process.terminate()
            process.wait(30)
    first, last = result["after_a_fifth"], result["at_the_end"]
    grown = {key: last[key] - first[key] for key in first}
    result |= {"python": platform.python_version(), "clients": asked.clients, "seconds": seconds,
               "grown": grown}  # fmt: skip
    sound = not (result["wrong"] or result["left_in_engine"] or result["faults"])
    print(json.dumps(result, ensure_ascii=False, indent=2))
    print("sound" if sound else "NOT SOUND")
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
