"""What ``hanhua eval MODEL`` may name: a folder, an adapter, a hub id; and what tells it apart."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from hanhua.core.artifact import Digests
from hanhua.core.errors import UsageError
from hanhua.core.files import canonical_json, sha256_text
from hanhua.eval.adapter import base_of, is_adapter, load_adapted
from hanhua.eval.forward import CausalModel
from hanhua.model.load import resolve

DECIDES = (".safetensors", ".json", ".model", ".jinja", ".tiktoken", ".txt")
"""Suffixes of files that decide what a model says."""


def is_endpoint(model: str) -> bool:
    """Whether a model is named by the address of a server."""
    return model.startswith(("http://", "https://"))


def split_userinfo(url: str) -> tuple[str, str]:
    """An address without its ``user:password@``, and that; for what is written and shown.

    https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1
    """
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    return (f"{scheme}://{host}{slash}{path}", unquote(userinfo)) if mark and at else (url, "")


class Target:
    """A local model to measure.

    Args:
        ref: a model folder, an adapter folder or a hub id.
        adapter_on: what an adapter was trained on; None: what its config names.

    Raises:
        UsageError: an adapter whose model must be named; ModelError: no such model.
    """

    def __init__(self, ref: str | Path, adapter_on: str | None = None) -> None:
        self.folder = resolve(ref)
        self.under: Path | None = None
        if is_adapter(self.folder):
            named = adapter_on or base_of(self.folder)
            if not named:
                raise UsageError(
                    "It is not known which model this adapter belongs to.", where=self.folder,
                    found="an adapter_config.json that names none",
                    fix="name what it was trained on with --adapter-on",
                )  # fmt: skip
            self.under = resolve(named)

    def load(self, device: str) -> CausalModel:
        """The model in float32, an adapter added."""
        if self.under is not None:
            return load_adapted(self.folder, self.under, device)
        return CausalModel.load(self.folder, device)

    def identity(self, digests: Digests) -> str:
        """A fingerprint of the files that decide what the model says."""
        folders = [f for f in (self.folder, self.under) if f is not None]
        return sha256_text(canonical_json([_content(f, digests) for f in folders]))


def _content(folder: Path, digests: Digests) -> list[list[str]]:
    paths = sorted(p for p in folder.iterdir() if p.suffix in DECIDES and p.is_file())
    return [[path.name, digests.of(path)] for path in paths]
