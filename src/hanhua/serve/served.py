"""A model as it is served: what it may produce, where it ends, how it is talked to.

Everything comes from the model's own folder, so a model is served with the template and the stop
tokens that it was trained and exported with.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hanhua.chat.encode import template_of
from hanhua.chat.guess import give_template
from hanhua.core.errors import ModelError, ServeError
from hanhua.model.fuse import fuse
from hanhua.model.generate import stop_ids
from hanhua.model.load import load_tokenizer
from hanhua.model.stream import TokenBytes, decode
from hanhua.serve.attention import attend_by_row
from hanhua.serve.encoder import Encoder
from hanhua.serve.few_rows import serve_few_rows
from hanhua.serve.weights import load_weights

if TYPE_CHECKING:  # of the serve extra, which talking in a terminal does without
    from hanhua.serve.grammar import Grammars


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A loaded model with its limits and defaults.

    Args:
        name: what the API calls it.
        model: a causal language model of transformers, in eval mode.
        tokenizer: its fast tokenizer.
        n_tokens: ids below this may be produced; rows beyond are padding.
        context_tokens: prompt and answer together must fit this.
        token_bytes: what each id stands for.
        stop_ids: tokens that end an answer.
        silent_ids: tokens that are never produced, since they are no text: unknown, padding.
        stop_strings: strings that end an answer.
        chats: whether it has a chat template.
        notice: what to tell about a template that was not in the folder; else empty.
        temperature, top_p: what a request gets that names none.
    """

    name: str
    model: Any
    tokenizer: Any
    n_tokens: int
    context_tokens: int
    token_bytes: TokenBytes
    stop_ids: frozenset[int]
    silent_ids: list[int] = field(default_factory=list)
    stop_strings: tuple[str, ...] = ()
    chats: bool
    notice: str = ""
    temperature: float = 1.0
    top_p: float = 1.0
    longest_token_bytes: int
    encoder: Encoder = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _grammars: list[Grammars] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        """Give encoding its own tokenizer."""
        object.__setattr__(self, "encoder", Encoder(self.tokenizer))

    def hopeless(self, text_bytes: int) -> bool:
        """Whether so much text cannot fit the context however well it is tokenised."""
        return text_bytes > self.context_tokens * self.longest_token_bytes

    @property
    def grammars(self) -> Grammars:
        """What holds an answer to a form; made at the first request that needs it."""
        from hanhua.serve.grammar import Grammars

        with self._making:
            if not self._grammars:
                never = frozenset(self.silent_ids)
                self._grammars.append(
                    Grammars(self.token_bytes, self.n_tokens, self.stop_ids, never)
                )
            return self._grammars[0]

    @property
    def width(self) -> int:
        """Numbers in one of the model's hidden states, and so in an embedding."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def text_of(self, ids: Sequence[int]) -> str:
        """The text that ids stand for, special tokens aside."""
        return decode(self.token_bytes, ids)

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt that asks for the next answer of a conversation.

        Raises:
            InputError: when the template refuses the order of the messages.
            ModelError: when the model has no template.
        """
        return self.encoder.chat(messages)

    def encode_text(self, text: str) -> list[int]:
        """The ids of a raw prompt, begun as the tokenizer begins a text.

        The strings of special tokens are read as text: a prompt cannot end itself.
        """
        return self.encoder.text(text)


SMALL_PARAMETERS = 50_000_000
"""Below this a step is too short to share: waiting for a second thread costs more than it gives,
and many times more on a busy machine (measured on 3M parameters)."""


def load_served(
    folder: Path,
    *,
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
    file: Path | None = None,
) -> Served:
    """Load a model folder for serving.

    Args:
        folder: a Hugging Face folder.
        name: what the API calls it; the folder's name when None.
        device: auto, cpu or cuda.
        dtype: auto, float32, bfloat16 or float16; auto is float32 on a CPU, where an answer is
            then the same alone and among others, and the stored type on a GPU.
        threads: of a CPU; 0 takes one for a small model and torch's own choice for others.
        file: a GGUF file with the weights, where they are not in the folder.

    Raises:
        ModelError: when it cannot be loaded, or its layers don't fit this engine.
        ServeError: when a GPU is asked for and none is there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ServeError(
            "There is no GPU that PyTorch can use.", where="--device", found="cuda",
            fix="leave --device out, or install the CUDA build of torch and the driver",
        )  # fmt: skip
    if dtype == "auto":
        dtype = _stored_dtype(folder) if device == "cuda" else "float32"
    tokenizer = load_tokenizer(str(folder))
    model: Any = load_weights(folder, getattr(torch, dtype), file).to(device).eval()
    if not threads and sum(p.numel() for p in model.parameters()) < SMALL_PARAMETERS:
        threads = 1
    if threads:
        torch.set_num_threads(threads)
    if device == "cpu":
        serve_few_rows(model)
        fuse(model)
        attend_by_row()
    context_tokens = _context_tokens(model.config, folder)
    notice = give_template(model.config, tokenizer)
    defaults = model.generation_config
    sampled = bool(defaults.do_sample)
    stops, stop_strings = _stops(model, tokenizer)
    silent = {tokenizer.unk_token_id, tokenizer.pad_token_id} - stops
    return Served(
        name=name or folder.name,
        model=model,
        tokenizer=tokenizer,
        n_tokens=min(len(tokenizer), model.get_output_embeddings().weight.shape[0]),
        context_tokens=context_tokens,
        token_bytes=TokenBytes(tokenizer),
        stop_ids=stops,
        silent_ids=sorted(id_ for id_ in silent if id_ is not None),
        stop_strings=stop_strings,
        chats=bool(tokenizer.chat_template),
        notice=notice,
        temperature=float(defaults.temperature or 1.0) if sampled else 1.0,
        top_p=float(defaults.top_p or 1.0) if sampled else 1.0,
        longest_token_bytes=max(len(token.encode()) for token in tokenizer.get_vocab()),
    )


def _stored_dtype(folder: Path) -> str:
    from transformers import AutoConfig

    found = str(AutoConfig.from_pretrained(folder).dtype or "float32")
    return found.removeprefix("torch.")


def _context_tokens(config: Any, folder: Path) -> int:
    """How far the engine's full attention and the model's own agree."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        raise ModelError(
            "This engine serves models whose layers are attention.", where=folder,
            found=", ".join(sorted(kinds)), fix="serve it with vLLM or transformers serve",
        )  # fmt: skip
    limits = [int(config.max_position_embeddings)]
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True):
        limits.append(int(window))
    return min(limits)


def _stops(model: Any, tokenizer: Any) -> tuple[frozenset[int], tuple[str, ...]]:
    """Ids and strings that end an answer, from the generation config, tokenizer and template."""
    ids = set(stop_ids(model, tokenizer))
    strings = model.generation_config.stop_strings or []
    strings = {strings} if isinstance(strings, str) else set(strings)
    template = template_of(tokenizer) if tokenizer.chat_template else None
    if template:
        strings.update(template.stop)
    known = {str(token): id_ for id_, token in tokenizer.added_tokens_decoder.items()}
    ids.update(known[text] for text in strings if text in known)
    return frozenset(ids), tuple(sorted(text for text in strings if text not in known))
