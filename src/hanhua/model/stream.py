"""From token ids to text as they come: whole characters only, nothing twice, cut at stop strings.

A Han character may be spread over several byte tokens. Decoding the ids so far again and again
cannot be streamed exactly: the tokenizers library turns every byte of a run into U+FFFD as soon
as one byte of it is wrong, so text that was shown would change afterwards. Here each id stands
for bytes, and one incremental UTF-8 decoder reads them; what it has given stays.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from hanhua.core.errors import ModelError

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>$")


class TokenBytes:
    """The UTF-8 bytes that each id of a tokenizer stands for; special tokens stand for none.

    Args:
        tokenizer: a fast tokenizer, byte-level (GPT-2, Llama 3, Qwen) or with byte fallback
            (LLaMA 1 and 2, Mistral).

    Raises:
        ModelError: when it is of neither kind, so that its pieces have no bytes.
    """

    def __init__(self, tokenizer: Any) -> None:
        steps = _decoder_steps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
        kinds = {step["type"] for step in steps}
        self.byte_level = "ByteLevel" in kinds
        if not self.byte_level and "ByteFallback" not in kinds:
            raise ModelError(
                "The bytes behind this tokenizer's pieces are not known.",
                where=tokenizer.name_or_path, found=", ".join(sorted(kinds)) or "no decoder",
                fix="use a base with a byte-level or byte-fallback tokenizer",
            )  # fmt: skip
        self.strips_space = any(s["type"] == "Strip" and s.get("start") for s in steps)
        self.replacements = [
            (s["pattern"]["String"], s["content"])
            for s in steps
            if s["type"] == "Replace" and "String" in s["pattern"]
        ]
        self.added = {
            i: b"" if token.special else str(token.content).encode()
            for i, token in tokenizer.added_tokens_decoder.items()
        }
        self.tokenizer = tokenizer
        self.known: dict[int, bytes] = {}

    def __getitem__(self, token: int) -> bytes:
        """The bytes of one id; none for an id that the tokenizer does not have."""
        if token not in self.known:
            self.known[token] = self._read(token)
        return self.known[token]

    def _read(self, token: int) -> bytes:
        if token in self.added:
            return self.added[token]
        piece = self.tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return b""
        if self.byte_level:
            return bytes(_BYTE_OF[c] for c in piece)
        if match := _BYTE_PIECE.match(piece):
            return bytes([int(match[1], 16)])
        for old, new in self.replacements:
            piece = piece.replace(old, new)
        return str(piece).encode()

    def join(self, ids: Iterable[int]) -> bytes:
        """The bytes of many ids; a decoder's cut of the first space is not done here."""
        return b"".join(self[i] for i in ids)


def _decoder_steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [step for inner in decoder["decoders"] for step in _decoder_steps(inner)]
    return [decoder]


def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE writes each byte as one visible character.

    Bytes that are visible in Latin-1 stand for themselves, the others follow from U+0100 on:
    https://github.com/openai/gpt-2/blob/master/src/encoder.py
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(visible)]
    alphabet = {chr(byte): byte for byte in visible}
    return alphabet | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}


_BYTE_OF = _byte_alphabet()


class TextStream:
    """The text of one generation, given out as soon as it can no longer change.

    What `push` and `finish` return is valid Unicode, and their concatenation is the text: bytes
    that never become a character are U+FFFD, an unfinished character at the very end is left out.

    Args:
        tokenizer: a fast tokenizer, or its `TokenBytes` (make it once for many streams).
        prompt: the ids before; if they hold no text, a first space is cut where the tokenizer's
            own decoder would cut it.
        stop: strings that end the text and are not part of it.
        trim: leave out white space before the first character.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt: Sequence[int] = (),
        stop: Sequence[str] = (),
        trim: bool = False,
    ) -> None:
        self.bytes = tokenizer if isinstance(tokenizer, TokenBytes) else TokenBytes(tokenizer)
        self.stop = tuple(text for text in stop if text)
        self.stopped = False
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._cut_space = self.bytes.strips_space and not any(self.bytes[i] for i in prompt)
        self._trim = trim
        self._held = ""

    def push(self, token: int) -> str:
        """Take one id; return the text that is now certain, perhaps none."""
        if self.stopped:
            return ""
        text = self._decoder.decode(self.bytes[token])
        if self._cut_space and text:
            text, self._cut_space = text.removeprefix(" "), False
        return self._release(self._held + text, last=False)

    def finish(self) -> str:
        """The text still held back when no more ids come."""
        return "" if self.stopped else self._release(self._held, last=True)

    @property
    def waiting_bytes(self) -> int:
        """Bytes taken in whose text is not out: a begun character, or what may become a stop."""
        return len(self._held.encode()) + len(self._decoder.getstate()[0])

    def _release(self, text: str, last: bool) -> str:
        found = [(at + len(stop), at) for stop in self.stop if (at := text.find(stop)) >= 0]
        if found:
            # The one that is complete first, however the characters came in tokens.
            self.stopped, self._held = True, ""
            return self._trimmed(text[: min(found)[1]])
        held = 0 if last else max((_begun(text, stop) for stop in self.stop), default=0)
        self._held = text[len(text) - held :]
        return self._trimmed(text[: len(text) - held])

    def _trimmed(self, text: str) -> str:
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        return text


def _begun(text: str, stop: str) -> int:
    """Length of the longest end of a text with which the stop string begins."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


def decode(tokenizer: Any, ids: Sequence[int], prompt: Sequence[int] = ()) -> str:
    """The text of ids, read as `TextStream` reads them."""
    stream = TextStream(tokenizer, prompt)
    return "".join(map(stream.push, ids)) + stream.finish()
