"""Start a server: find the model, hold the port, load, serve, stop gracefully."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hanhua.core.artifact import RECORD, lost_files
from hanhua.core.errors import ArtifactError, DependencyError, ModelError, ServeError
from hanhua.core.files import read_json
from hanhua.core.progress import Progress, default_progress
from hanhua.core.run_stage import stages_beside, stages_of

if TYPE_CHECKING:
    from hanhua.serve.moderation import Moderation

RUNS = Path("runs")
_PREFERRED = ("export", "prefer", "finetune", "pretrain", "expand", "base")
"""Stages of a run that hold a model, the one to serve first."""


def resolve_run(path: Path) -> Path:
    """The model folder that a path means.

    Args:
        path: a Hugging Face folder, an artifact, a run folder (its export, else its newest
            model), a stage of a run (``runs/NAME/pretrain``), or either without ``runs/``.

    Raises:
        ModelError: when nothing there is a model.
        ArtifactError: when a run's ledger does not read, or its last model is damaged.
    """
    for root in (path, RUNS / path):
        found = model_in(root) or _model_of_stage(root)
        if found:
            return found
    raise ModelError(
        "There is no model here.", where=path,
        found="a folder without config.json, model/, hf/ or ledger.json" if path.is_dir()
        else "no such folder",
        fix="give a run folder (runs/NAME), a stage of it (runs/NAME/pretrain), an artifact or a "
        "Hugging Face folder",
    )  # fmt: skip


def _model_of_stage(path: Path) -> Path | None:
    """The model of ``RUN/STAGE``; None where the path names no stage of a run.

    Raises:
        ModelError: when it names a run, but no stage of it that has a model.
        ArtifactError: when that model is damaged.
    """
    stages = stages_beside(path)
    if not stages:
        return None
    models = [name for name in reversed(_PREFERRED) if name in stages]
    if path.name not in models:
        made = path.name in stages
        raise ModelError(
            "This stage has no model of its own." if made else "The run has no such stage.",
            where=path, found=path.name,
            fix=f"name one of {', '.join(models)}" if models else "run the recipe further",
        )  # fmt: skip
    return _model_of(path.name, stages[path.name])


def model_name(path: Path) -> str:
    """What to call the model of a path: the run's or folder's name."""
    folder = resolve_run(path).resolve()
    for inner in (folder, *folder.parents[:2]):
        if (inner.parent / "ledger.json").is_file():
            return str(read_json(inner.parent / "ledger.json").get("name") or inner.parent.name)
    return folder.parent.name if folder.name in ("model", "hf") else folder.name


def model_in(root: Path) -> Path | None:
    """The model folder in a Hugging Face folder, an artifact or a run; None where there is none.

    A run is taken at its word: the last model that its ledger names, never one before it.

    Raises:
        ArtifactError: when a run's ledger does not read, or the model that it names is damaged.
    """
    if found := _plain_model(root):
        return found
    if not (root / "ledger.json").is_file() or (root / RECORD).is_file():  # some artifacts have one
        return None
    stages = stages_of(root)
    last = next((name for name in _PREFERRED if name in stages), None)
    return _model_of(last, root / stages[last]["path"]) if last else None


def _plain_model(root: Path) -> Path | None:
    """The model folder in a Hugging Face folder or an artifact."""
    folders = (root / "hf", root / "model", root)
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _model_of(stage: str, folder: Path) -> Path:
    """The model of a run's stage, with all the files that were made.

    Raises:
        ArtifactError: when it is not whole.
    """
    found = _plain_model(folder)
    lost = [
        name for name in lost_files(folder)
        if found is None or (folder / name).is_relative_to(found)
    ]  # fmt: skip
    if found and not lost:
        return found
    raise ArtifactError(
        f"The model of the run's stage {stage} is not whole.", where=folder,
        found=f"{', '.join(lost[:3]) or 'config.json'} is missing" if folder.is_dir()
        else "no such folder",
        fix="delete what is left of that folder and run the recipe again, which makes it anew; or "
        "name another stage's folder",
    )  # fmt: skip


def serve(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: Path | None = None,
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
    max_running: int = 8,
    max_waiting: int = 64,
    max_seconds: float = 0.0,
    block_words: Path | None = None,
    moderation: Moderation | None = None,
    compat: bool = False,
    beside: Sequence[str] = (),
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    progress: Progress | None = None,
) -> None:
    """Serve a model, and others beside it, until the process is told to stop.

    Args:
        model: see :func:`resolve_run`.
        host: address to listen on; anything but this machine's own is warned of without a key.
        port: 0 takes a free one.
        api_key_file: see :func:`hanhua.serve.keys.read_keys`; without it everyone who reaches the
            port may ask.
        name: what the API calls the model; the run's or folder's name when None.
        device: auto, cpu or cuda.
        dtype: auto, float32, bfloat16 or float16.
        threads: of a CPU; 0 decides by the model's size.
        max_running: requests that are answered at once.
        max_waiting: requests that wait beyond those before 429.
        max_seconds: longest time for a request, waiting included; 0: no limit.
        block_words: see :func:`hanhua.serve.words.read_words`.
        moderation: see :func:`hanhua.serve.moderation.read_moderation`; None: nobody judges.
        compat: also serve the endpoints of older Chinese LLaMA projects.
        beside: more models, see :func:`hanhua.serve.beside.find_places`.
        allowed_hosts: more names it answers to, see :func:`hanhua.serve.reach.make_reach`.
        allowed_origins: web pages elsewhere that may call it.
        progress: where to say what happens.

    Raises:
        DependencyError: without the ``serve`` extra.
        ServeError: when the port is taken, the address is not ours, or a file is no good.
        ModelError: when a model cannot be loaded.
        UsageError: when one is named twice, or a host or origin does not read.
    """
    _check_extra()
    from hanhua.serve.keys import read_keys
    from hanhua.serve.reach import make_reach
    from hanhua.serve.words import read_words

    # What needs no torch comes first: a mistake in a small file is told at once.
    resolve_run(model)
    keys, block = read_keys(api_key_file), read_words(block_words)
    make_reach(allowed_hosts, allowed_origins)
    from hanhua.serve.api import create_app
    from hanhua.serve.beside import base_tokenizers, find_places, load_all
    from hanhua.serve.connection import make_config, make_server
    from hanhua.serve.engine import Engine
    from hanhua.serve.models import Models
    from hanhua.serve.policy import Policy

    say = (progress or default_progress()).say
    places = find_places(model, beside, name)
    with _listen(host, port) as listener:
        loopback = is_loopback(listener.getsockname()[0])
        reach = make_reach(
            allowed_hosts, allowed_origins, host=host, loopback=loopback, keyed=bool(keys)
        )
        policy = Policy(
            keys=keys, max_seconds=max_seconds, block=block, moderation=moderation, compat=compat,
            reach=reach,
        )  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}"
        if not keys and not loopback:
            say(f"warning: {host} can be reached from other machines and no key is set: everyone "
                "who reaches it may use the model" + (
                    "; set --api-key-file" if allowed_hosts else
                    ", and any web page in their browsers; set --api-key-file, or --allowed-host "
                    "against the pages"))  # fmt: skip
        found = load_all(places, device=device, dtype=dtype, threads=threads)
        bases = base_tokenizers(places, say)
        engines = [Engine(one, max_running=max_running, max_waiting=max_waiting) for one in found]
        models = Models(engines, bases)
        for served, place in zip(found, places, strict=True):
            say(f"serving {served.name} from {place.file or place.folder}")
            if served.notice:
                say(served.notice)
        if moderation:
            say(moderation.notice)
        chats = any(served.chats for served in found)
        page = "chat page" if chats else "page (a base model: /v1/completions only)"
        say(f"{page}: {url}/   API: {url}/v1   stop: Ctrl-C")
        try:
            make_server(make_config(create_app(models, policy)), models).run(sockets=[listener])
        finally:
            models.close()


def _check_extra() -> None:
    missing = [
        name
        for name in ("fastapi", "uvicorn", "llguidance")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise DependencyError(
            "The server needs packages that are not installed.", found=", ".join(missing),
            fix='pip install "hanhua[serve]"',
        )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine alone."""
    try:
        address = ipaddress.ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before the model is loaded, so that a busy one is known at once."""
    try:
        if not 0 <= port <= 65535:
            raise OSError("ports go from 0 to 65535")
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ServeError(
            "The server cannot listen here.", where=f"{host}:{port}", found=error.strerror or error,
            fix="choose another --port (0 takes a free one) or --host, or stop what holds it",
        ) from error  # fmt: skip
    return listener
