"""vLLM's command line, from a model folder.

Options: https://docs.vllm.ai/en/latest/cli/serve/ . Those of the user come last, where they win.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json
from hanhua.serve.engine_process import EngineCommand

KEY_VARIABLE = "VLLM_API_KEY"


def vllm_command(
    program: str,
    folder: Path,
    *,
    name: str,
    host: str,
    port: int,
    url: str,
    secret: str | None = None,
    more: Sequence[str] = (),
) -> EngineCommand:
    """How to serve a Hugging Face folder with vLLM.

    Args:
        program: the ``vllm`` command.
        folder: with config.json; its chat_template.jinja is passed on where it has one.
        name: what the API calls the model.
        host: address to listen on.
        port: port to listen on.
        url: the same as this machine reaches it.
        secret: the API key; it goes by the environment.
        more: further options.

    Raises:
        ModelError: when the folder's config does not read.
    """
    argv = [program, "serve", str(folder), "--host", host, "--port", str(port)]
    argv += ["--served-model-name", name, "--dtype", "auto"]
    context_tokens = _context_tokens(folder)
    if context_tokens:
        argv += ["--max-model-len", str(context_tokens)]
    template = folder / "chat_template.jinja"
    if template.is_file():
        argv += ["--chat-template", str(template)]
    # it reports usage to its makers unless told not to, and the weights are all here
    environment = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", KEY_VARIABLE: secret}
    return EngineCommand(
        title="vLLM", argv=(*argv, *more), environment=environment, secret=secret,
        health_url=f"{url}/health",
    )  # fmt: skip


def _context_tokens(folder: Path) -> int | None:
    """The longest text, in tokens; None leaves it to vLLM."""
    try:
        config = read_json(folder / "config.json")
        found = config.get("max_position_embeddings")
        return int(found) if found else None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            "The model's config does not read.", where=folder / "config.json", found=error,
            fix="write the folder again, for example by `hanhua export --to hf`",
        ) from error  # fmt: skip
