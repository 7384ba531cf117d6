"""From text to token ids for a server, and from ids to strings that people can read."""

from __future__ import annotations

import codecs
import copy
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.chat.encode import encode_prompt
from hanhua.model.stream import TokenBytes

_SHOWN = "hanhua-shown-bytes"


class Encoder:
    """A tokenizer for encoding alone, used by one thread at a time.

    Encoding changes settings of a tokenizer that decoding reads meanwhile, so it gets a copy.

    Args:
        tokenizer: a fast tokenizer of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)
        self._lock = threading.Lock()

    @property
    def chats(self) -> bool:
        """Whether it has a chat template."""
        return bool(self._tokenizer.chat_template)

    def chat(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True
    ) -> list[int]:
        """The prompt of a conversation, which asks for its next answer where that is wanted.

        Raises:
            InputError: when the template refuses the order of the messages.
            ModelError: when there is no template.
        """
        with self._lock:
            return encode_prompt(self._tokenizer, None, messages, add_generation_prompt)

    def text(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text; the strings of special tokens in it are read as text.

        Args:
            text: as it is.
            add_special_tokens: begin as the tokenizer begins a text.
        """
        with self._lock:
            coded = self._tokenizer(
                text, split_special_tokens=True, add_special_tokens=add_special_tokens,
                verbose=False,
            )  # fmt: skip
        return [int(token) for token in coded["input_ids"]]


def readable(token_bytes: TokenBytes, ids: Sequence[int]) -> list[str]:
    """What each id stands for, so that it can be read.

    Special tokens are their names. A character that is spread over several tokens has no text in
    any of them: its bytes are shown as ⟨E4⟩.
    """
    return [_readable(token_bytes, token) for token in ids]


def _readable(token_bytes: TokenBytes, token: int) -> str:
    data = token_bytes[token]
    if data:
        return data.decode("utf-8", errors=_SHOWN)
    return str(token_bytes.tokenizer.convert_ids_to_tokens(token))


def _as_numbers(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(f"⟨{byte:02X}⟩" for byte in bad), error.end


codecs.register_error(_SHOWN, _as_numbers)
