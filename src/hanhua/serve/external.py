"""Which engine serves a model, and the way to one that is not ours."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from hanhua.core.errors import DependencyError, ModelError, ServeError, UsageError
from hanhua.core.progress import Progress, default_progress
from hanhua.serve import llama_cpp, vllm
from hanhua.serve.engine_process import EngineCommand, run_engine
from hanhua.serve.keys import read_keys
from hanhua.serve.run import RUNS, _listen, is_loopback, model_name, resolve_run

Engine = Literal["auto", "hanhua", "vllm", "llama-cpp"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_SECRET_OPTIONS = ("--api-key", "--api_key")


def choose_engine(engine: Engine, model: Path) -> Engine:
    """The engine meant: llama-cpp for a GGUF file, ours for a folder, unless one is named.

    Raises:
        ModelError: when a folder holds several GGUF files.
    """
    if engine != "auto":
        return engine
    return "llama-cpp" if _gguf(model) else "hanhua"


def refuse_ours(given: Mapping[str, object]) -> None:
    """Refuse options that only our own engine carries out, rather than pass over them.

    Args:
        given: options by name, as the user gave them.

    Raises:
        UsageError: when one of them is set.
    """
    found = [name for name, value in given.items() if value]
    if found:
        raise UsageError("Only hanhua's own engine does this.", found=", ".join(found),
                         fix="leave it out, or serve with --engine hanhua")  # fmt: skip


def serve_external(
    engine: Engine,
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: Path | None = None,
    engine_command: str | None = None,
    engine_args: str = "",
    wait_seconds: float = 600.0,
    progress: Progress | None = None,
) -> None:
    """Serve a model by another engine until the process is told to stop.

    Args:
        engine: vllm or llama-cpp.
        model: a run, artifact or Hugging Face folder for vllm; a GGUF file or its folder else.
        host: address to listen on.
        port: 0 takes a free one.
        api_key_file: one key, without limits: these engines know neither names nor limits.
        engine_command: the engine's program; looked for when None.
        engine_args: further options of the engine, as in a shell.
        wait_seconds: how long it may take to answer first.
        progress: where to say what happens.

    Raises:
        DependencyError: when the engine is not found.
        ServeError: when the port is taken, the key file is no good, or the engine falls over.
        ModelError: when there is no model of the kind that the engine takes.
        UsageError: when the engine's options do not read, or hold a key.
    """
    say = (progress or default_progress()).say
    more = options_of(engine_args)
    program = find_program(engine, engine_command)
    variable = vllm.KEY_VARIABLE if engine == "vllm" else llama_cpp.key_variable(program)
    secret = _key(api_key_file) or os.environ.get(variable)
    with _listen(host, port) as listener:  # a busy port is known before anything starts
        port = listener.getsockname()[1]
    near = _ANYWHERE.get(host, host)
    url = f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"
    if not secret and not is_loopback(host):
        say(f"warning: {host} can be reached from other machines and no key is set: everyone "
            "who reaches it may use the model; set --api-key-file")  # fmt: skip
    build: Callable[..., EngineCommand]
    if engine == "vllm":
        path, build = _folder(model), vllm.vllm_command
        name = model_name(model)
    else:
        path, build = _file(model), llama_cpp.llama_cpp_command
        name = path.stem
    command = build(
        program, path, name=name, host=host, port=port, url=url, secret=secret, more=more
    )  # fmt: skip
    say(f"starting {command.title}: {shlex.join(command.argv)}")
    say(f"serving {name} from {path}; API: {url}/v1 (no chat page)   stop: Ctrl-C")
    run_engine(command, say=say, wait_seconds=wait_seconds)


def find_program(engine: Engine, given: str | None) -> str:
    """The engine's program: the one given, else one on the path.

    Raises:
        DependencyError: when there is none, with how to install it.
    """
    if given:
        found = shutil.which(os.path.expanduser(given))
        if found:
            return found
        raise DependencyError("The engine's program is not here.", where=given,
                              found="no such file, or it may not be executed",
                              fix="give the path of the program to --engine-command")  # fmt: skip
    beside = str(Path(sys.executable).parent)
    if engine == "vllm":
        found = shutil.which("vllm") or shutil.which("vllm", path=beside)
        how = ("python3 -m venv vllm-env && vllm-env/bin/pip install vllm (an environment of its "
               "own: it pins its torch), then --engine-command vllm-env/bin/vllm")  # fmt: skip
    else:
        found = sys.executable if importlib.util.find_spec("llama_cpp") else None
        found = found or shutil.which("llama-server")
        how = ('pip install "llama-cpp-python[server]" here, or in an environment of its own and '
               "then --engine-command ENV/bin/python (or the path of llama-server)")  # fmt: skip
    if found:
        return found
    title = "vLLM" if engine == "vllm" else "llama.cpp"
    raise DependencyError(f"{title} is not here.", found="no such program on the path", fix=how)


def options_of(text: str) -> list[str]:
    """Options of an engine, as in a shell.

    Raises:
        UsageError: when they do not read, or hold a key.
    """
    try:
        more = shlex.split(text)
    except ValueError as error:
        raise UsageError("--engine-args does not read.", found=error,
                         fix="close the quotes") from error  # fmt: skip
    if any(word.split("=")[0] in _SECRET_OPTIONS for word in more):
        raise UsageError("A key on a command line can be read by every user of the machine.",
                         where="--engine-args", fix="use --api-key-file")  # fmt: skip
    return more


def _key(path: Path | None) -> str | None:
    keys = read_keys(path)
    if len(keys) > 1 or any(key.requests_per_minute or key.tokens_per_minute for key in keys):
        raise ServeError(
            "This engine takes one key, without limits.", where=path,
            found=f"{len(keys)} keys" if len(keys) > 1 else "a limit",
            fix="leave one line with the key alone, or serve with --engine hanhua",
        )  # fmt: skip
    return keys[0].secret if keys else None


def _gguf(model: Path) -> Path | None:
    return llama_cpp.find_gguf(model) or llama_cpp.find_gguf(RUNS / model)


def _file(model: Path) -> Path:
    found = _gguf(model)
    if found is None:
        raise ModelError("There is no GGUF file here.", where=model,
                         fix=f"write one: hanhua export {model} --to gguf --out DIR")  # fmt: skip
    return found.resolve()


def _folder(model: Path) -> Path:
    if _gguf(model):
        raise ModelError("vLLM is given Hugging Face folders here, and this is a GGUF file.",
                         where=model, fix="serve it with --engine llama-cpp")  # fmt: skip
    return resolve_run(model).resolve()
