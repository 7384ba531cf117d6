"""llama.cpp as a program beside ours: it quantises to k-quants, encodes, answers and is timed.

It is never imported. What is used is either its program ``llama-quantize``, or a Python that has
llama-cpp-python, called as a process of its own; the latter also says what ids and what answers
llama.cpp itself gives.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import DependencyError, ModelError, UsageError

VARIABLE = "HANHUA_LLAMA_PYTHON"
"""Environment variable: an interpreter that has llama-cpp-python."""
PROGRAM = "llama-quantize"
_PLACES = ("", "bin", "build/bin")

WORKER = r"""
import ctypes, json, resource, sys, time
import llama_cpp as cpp
import numpy as np
job = json.load(open(sys.argv[1], encoding="utf-8"))
quiet = cpp.llama_log_callback(lambda *_: None)
cpp.llama_log_set(quiet, ctypes.c_void_p(0))
cpp.llama_backend_init()
answer = {"version": cpp.__version__}
if job["do"] == "quantise":
    params = cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.pure = job["ftype"], 1, job["pure"]
    answer["code"] = cpp.llama_model_quantize(
        job["file"].encode(), job["out"].encode(), ctypes.byref(params))
else:
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    before = resident()
    model = cpp.Llama(job["file"], n_ctx=job["n_ctx"], n_threads=1, n_threads_batch=1,
                      n_gpu_layers=0, verbose=False)
    def likeliest():
        logits = cpp.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(logits, (model.n_vocab(),)).argmax())
    answer["ids"] = [model.tokenize(t.encode(), add_bos=model._model.add_bos_token(), special=True)
                     for t in job["texts"]]
    answer["greedy"] = []
    for ids, count in job["prompts"]:
        model.reset()
        row, step = [], list(ids)
        while len(row) < count:
            model.eval(step)
            step = [likeliest()]
            row += step
        answer["greedy"].append(row)
    answer["seconds"] = []
    for _ in range(job["repeats"]):
        model.reset()
        model.eval(job["speed_ids"][:-1])
        token, started = job["speed_ids"][-1], time.perf_counter()
        for _ in range(job["speed_tokens"]):
            model.eval([token])
            token = likeliest()
        answer["seconds"].append(time.perf_counter() - started)
    answer["grown_bytes"] = resident() - before
print(json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """What of llama.cpp is on this machine.

    Args:
        program: ``llama-quantize``; None: not found.
        python: an interpreter that has llama-cpp-python; None: not found.
    """

    program: Path | None = None
    python: Path | None = None

    @classmethod
    def find(cls, given: Path | None = None) -> LlamaCpp:
        """Look where it was named, then on PATH and in the environment.

        Args:
            given: llama.cpp's folder, or a Python that has llama-cpp-python.

        Raises:
            UsageError: when it is not where it was named.
        """
        if given is None:
            on_path = shutil.which(PROGRAM)
            return cls(Path(on_path) if on_path else None, _python())
        given = given.absolute()  # a bare name would be looked up on PATH; links stay as they are
        if given.is_file():
            return cls(given, _python()) if given.stem == PROGRAM else cls(None, given)
        for place in _PLACES:
            if (given / place / PROGRAM).is_file():
                return cls(given / place / PROGRAM, _python())
        raise UsageError(
            "llama.cpp is not there.", where="--llama-cpp", found=f"no {PROGRAM} in {given}",
            fix="name the folder that holds it, or a Python that has llama-cpp-python",
        )  # fmt: skip

    def quantise(self, source: Path, out: Path, kind: str, *, pure: bool = False) -> None:
        """Write a GGUF file in another type.

        Args:
            source: a GGUF file in f32, f16 or bf16.
            out: the file to make.
            kind: "q4_k_m" and the like.
            pure: all matrices in that type.

        Raises:
            DependencyError: when neither program nor interpreter is there.
            ModelError: when llama.cpp refuses.
        """
        if self.program is not None:
            command = [str(self.program), *(["--pure"] if pure else [])]
            done = _run([*command, str(source), str(out), kind.upper(), "1"])
            if done.returncode or not out.is_file():
                raise _refused(source, done.stderr)
            return
        import gguf

        ftype = int(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
        answer = self._ask({"do": "quantise", "file": str(source), "out": str(out),
                            "ftype": ftype, "pure": pure})  # fmt: skip
        if answer["code"] or not out.is_file():
            raise _refused(source, f"code {answer['code']}")

    def answers(
        self, file: Path, texts: Sequence[str] = (),
        prompts: Sequence[tuple[Sequence[int], int]] = (), *, n_ctx: int = 256,
        speed: tuple[Sequence[int], int, int] = ((), 0, 0),
    ) -> dict[str, Any]:  # fmt: skip
        """What llama.cpp makes of a file, on one thread.

        Args:
            file: a GGUF file.
            texts: to encode, special tokens in them meant.
            prompts: ids to continue greedily, each with a number of tokens.
            n_ctx: context, in tokens.
            speed: ids of a prompt, tokens to make behind it, how often.

        Returns:
            ``ids``, ``greedy``, ``seconds`` of each repeat, ``grown_bytes`` (resident memory since
            before the file was loaded; Linux), ``version``.

        Raises:
            DependencyError: when no interpreter is there; ModelError: when the file doesn't load.
        """
        ids, tokens, repeats = speed
        return self._ask({
            "do": "answer", "file": str(file), "texts": list(texts), "n_ctx": n_ctx,
            "prompts": [[list(row), count] for row, count in prompts],
            "speed_ids": list(ids), "speed_tokens": tokens, "repeats": repeats,
        })  # fmt: skip

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        if self.python is None:
            raise DependencyError(
                "This needs llama.cpp, which is not here.", found=f"no {PROGRAM} on PATH, no "
                "llama-cpp-python", fix="name its folder with --llama-cpp, or pip install "
                "llama-cpp-python; q8_0, q5_1, q5_0, q4_1 and q4_0 need neither",
            )  # fmt: skip
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
            json.dump(job, file)
            file.flush()
            done = _run([str(self.python), "-c", WORKER, file.name])
        lines = done.stdout.splitlines()
        if done.returncode or not lines:
            raise _refused(Path(job["file"]), done.stderr)
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise UsageError(
            "llama.cpp cannot be started.", where=command[0], found=error.strerror or error,
            fix=f"mend --llama-cpp or the variable {VARIABLE}",
        ) from error  # fmt: skip


def _python() -> Path | None:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return Path(sys.executable) if importlib.util.find_spec("llama_cpp") else None


def _refused(file: Path, said: str) -> ModelError:
    return ModelError(
        "llama.cpp does not take this file.", where=file.name, found=said.strip()[-300:],
        fix="use a current llama.cpp, or a type that is written without it (q8_0, q4_0 …)",
    )  # fmt: skip
