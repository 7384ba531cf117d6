"""llama.cpp's command lines, for a GGUF file: llama-cpp-python's server, or llama-server.

The template, the context and the tokenizer are in the file, and both servers take them from it.
https://llama-cpp-python.readthedocs.io/en/latest/server/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hanhua.core.errors import ModelError
from hanhua.serve.engine_process import EngineCommand


def find_gguf(path: Path) -> Path | None:
    """The GGUF file that a path means: itself, or the one in a folder that is no model folder.

    Raises:
        ModelError: when a folder holds several.
    """
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    if not path.is_dir() or (path / "config.json").exists():
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        raise ModelError(
            "There are several GGUF files here.", where=path,
            found=", ".join(file.name for file in found), fix="name one of them",
        )  # fmt: skip
    return found[0] if found else None


def key_variable(program: str) -> str:
    """The variable that a server reads its API key from."""
    return "LLAMA_API_KEY" if _is_llama_server(program) else "API_KEY"


def llama_cpp_command(
    program: str,
    file: Path,
    *,
    name: str,
    host: str,
    port: int,
    url: str,
    secret: str | None = None,
    more: Sequence[str] = (),
) -> EngineCommand:
    """How to serve a GGUF file with llama.cpp.

    Args:
        program: a Python that has llama-cpp-python, or llama.cpp's ``llama-server``.
        file: the GGUF file.
        name: what the API calls the model.
        host: address to listen on.
        port: port to listen on.
        url: the same as this machine reaches it.
        secret: the API key; it goes by the environment.
        more: further options.
    """
    where = ["--host", host, "--port", str(port)]
    environment: dict[str, str | None] = {key_variable(program): secret}
    if _is_llama_server(program):
        argv = [program, "--model", str(file), "--alias", name, *where, "--jinja"]
        health = f"{url}/health"
    else:
        argv = [program, "-m", "llama_cpp.server", "--model", str(file), "--model_alias", name]
        argv += [*where, "--n_ctx", "0"]  # 0: as long as the file says
        # it has no /health; and variables of these names would win over its options
        health = f"{url}/v1/models"
        environment |= {"HOST": None, "PORT": None, "CONFIG_FILE": None}
    return EngineCommand(
        title="llama.cpp", argv=(*argv, *more), environment=environment, secret=secret,
        health_url=health,
    )  # fmt: skip


def scoring_options(program: str, context_tokens: int) -> list[str]:
    """What a server needs to tell log-probabilities, with no more memory than the prompts take.

    llama-cpp-python keeps the logits of every position only where it is told to.
    """
    if _is_llama_server(program):
        return ["--ctx-size", str(context_tokens), "--parallel", "1"]
    return ["--n_ctx", str(context_tokens), "--logits_all", "true"]


def _is_llama_server(program: str) -> bool:
    return Path(program).name.startswith("llama-server")
