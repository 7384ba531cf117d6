"""The models of one server: an engine for each, and the tokenizer of the base it grew from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hanhua.model.load import load_tokenizer, read_config
from hanhua.model.stream import TokenBytes
from hanhua.model.supported import context_tokens
from hanhua.serve.encoder import Encoder
from hanhua.serve.engine import Engine
from hanhua.serve.errors import ApiError


class BaseTokenizer:
    """The tokenizer of a base, without its weights: for counting tokens before expansion.

    Args:
        folder: of the base.

    Raises:
        ModelError: when it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        tokenizer = load_tokenizer(folder)
        self.encoder = Encoder(tokenizer)
        self.token_bytes = TokenBytes(tokenizer)
        self.context_tokens = context_tokens(read_config(folder))


class Models:
    """Engines by the name that requests give them.

    Args:
        engines: the main one first; their names differ.
        bases: by name of the model, where its base's tokenizer is known.
    """

    def __init__(
        self, engines: Sequence[Engine], bases: Mapping[str, BaseTokenizer] | None = None
    ) -> None:
        self._engines = {engine.served.name: engine for engine in engines}
        assert len(self._engines) == len(engines) > 0
        self.bases = dict(bases or {})

    @property
    def main(self) -> Engine:
        """The one that answers where a request names none."""
        return self.engines[0]

    @property
    def engines(self) -> list[Engine]:
        """All of them, the main one first."""
        return list(self._engines.values())

    @property
    def alive(self) -> bool:
        """Whether every model would answer a request now."""
        return all(engine.alive for engine in self.engines)

    def get(self, name: str | None) -> Engine:
        """The engine that a request's ``model`` means.

        Raises:
            ApiError: 404 with the names that there are.
        """
        if name is None:
            return self.main
        if name not in self._engines:
            names = ", ".join(f"'{known}'" for known in self._engines)
            raise ApiError(
                404, f"The model '{name[:200]}' does not exist; this server has {names}.",
                param="model", code="model_not_found",
            )  # fmt: skip
        return self._engines[name]

    def close(self) -> None:
        """End every request as cancelled and stop the threads."""
        for engine in self.engines:
            engine.close()
