"""A judge of the operator's own: an OpenAI-style ``/v1/moderations`` asked about all text.

Only text goes out: the messages of a prompt, and an answer as far as it has come. An answer is
held back until it is judged, whole or, when it streams, in pieces that end with a sentence.
Reference: https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hanhua.core.errors import ServeError
from hanhua.serve.errors import ApiError
from hanhua.serve.job import Event
from hanhua.serve.logprobs import TokenChance
from hanhua.serve.run import is_loopback
from hanhua.serve.tally import Of, Tally

logger = logging.getLogger("hanhua.serve")

KEY_VARIABLE = "HANHUA_MODERATION_KEY"
SECONDS = 5.0
"""How long a judgement may take before it counts as not given."""

PIECE_CHARS, LONGEST_PIECE_CHARS = 40, 400
"""A piece of a stream ends with a sentence that makes it at least so long, or without one."""

CONTEXT_CHARS = 4000
"""How much of a streamed answer goes out with each piece, so that it is judged where it stands."""

_AT_ONCE = 16
_MOST_BYTES = 2**20
_SENTENCE_END = re.compile(r"[。！？!?…\n]|\.\s")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key and the text go where the operator said and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Moderation:
    """The endpoint that judges.

    Args:
        url: of the endpoint itself.
        key: sent as a bearer token; None: none.
        open_: let pass what cannot be judged; otherwise it is refused.
        seconds: longest time for a judgement, waiting for a free connection included.
    """

    def __init__(
        self, url: str, *, key: str | None = None, open_: bool = False, seconds: float = SECONDS
    ) -> None:
        self.url, self.open, self.seconds = url, open_, seconds
        self.tally = Tally()
        self._key = key
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        # a proxy of the environment has no business on this machine itself
        if is_loopback(urlsplit(url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hanhua-moderation")

    @property
    def notice(self) -> str:
        """What an operator is told at the start."""
        parts = urlsplit(self.url)
        plain = parts.scheme == "http" and not is_loopback(parts.hostname or "")
        return (
            f"moderation: the text of prompts and answers goes to {parts.scheme}://{parts.netloc}; "
            + (
                "what it does not judge passes"
                if self.open
                else "what it does not judge is refused"
            )
            + (" (warning: text and key travel unencrypted)" if plain else "")
        )

    def flags(self, of: Of, texts: Sequence[str]) -> bool:
        """Whether any of the texts is flagged.

        Args:
            of: what they are; they are counted under it.
            texts: each judged for itself; blank ones are not.

        Raises:
            ApiError: 503 when there is no judgement and what isn't judged is refused.
        """
        said, begun = _said(texts), time.monotonic()
        if not said:
            return False
        future = self._pool.submit(self._ask, said)
        try:
            return self._known(of, said, future.result(self.seconds), begun)
        except Exception as error:
            return self._unknown(of, said, future, error)

    async def flags_soon(self, of: Of, texts: Sequence[str]) -> bool:
        """The same, for an event loop."""
        said, begun = _said(texts), time.monotonic()
        if not said:
            return False
        future = self._pool.submit(self._ask, said)
        try:
            flagged = await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
            return self._known(of, said, flagged, begun)
        except Exception as error:
            return self._unknown(of, said, future, error)

    def _known(self, of: Of, said: list[str], flagged: int, begun: float) -> bool:
        self.tally.judged(of, len(said), flagged, time.monotonic() - begun)
        return flagged > 0

    def _unknown(self, of: Of, said: list[str], future: Future[int], error: Exception) -> bool:
        future.cancel()
        self.tally.unjudged(of, len(said))
        logger.warning("no judgement by the moderation: %s", _reason(error))
        if self.open:
            return False
        raise ApiError(
            503, "What is said here is judged by a moderation service, and it does not answer; "
            "try again later.", code="moderation_unavailable", headers={"Retry-After": "5"},
        ) from None  # fmt: skip

    def _ask(self, texts: list[str]) -> int:
        """How many of them are flagged."""
        headers = {"Content-Type": "application/json", "User-Agent": "hanhua"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = json.dumps({"input": texts}).encode()
        request = urllib.request.Request(self.url, data, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self.seconds) as answer:
                results = json.loads(self._read(answer))["results"]
        except urllib.error.HTTPError as error:
            error.close()
            raise OSError(f"it answers {error.code}") from None
        flags = [result["flagged"] for result in results]
        if len(flags) != len(texts) or any(type(flag) is not bool for flag in flags):
            raise ValueError("its answer is not one of /v1/moderations")
        return sum(flags)

    def _read(self, answer: Any) -> bytes:
        """The body, within its time and size: one that trickles would keep its thread."""
        until, data = time.monotonic() + self.seconds, b""
        while piece := answer.read1(2**16):
            data += piece
            if len(data) > _MOST_BYTES:
                raise ValueError("its answer is too large")
            if time.monotonic() > until:
                raise TimeoutError
        return data


def _said(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text.strip()]


def _reason(error: Exception) -> str:
    """What went wrong; nothing that was sent is in it."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, (OSError, ValueError)):
        return str(error)[:200]
    return f"its answer is not one of /v1/moderations ({type(error).__name__})"


@dataclass(slots=True)
class Judge:
    """Holds back one answer until it is judged.

    Args:
        moderation: who judges.
        in_pieces: judge whenever a sentence ends, rather than once at the end.
    """

    moderation: Moderation
    in_pieces: bool
    said: str = ""
    held: str = ""
    chances: tuple[TokenChance, ...] = ()

    async def judged(self, event: Event) -> Event | None:
        """Take an event; give what may go out, None while it is held back.

        Raises:
            ApiError: 503, see :meth:`Moderation.flags`.
        """
        self.held += event.text
        self.chances += event.chances
        if event.end is None and not (self.in_pieces and _is_piece(self.held)):
            return None
        text = self.said + self.held
        # never less than what goes out: a long stop string may have held back more
        start = max(0, len(text) - max(CONTEXT_CHARS, len(self.held))) if self.in_pieces else 0
        if self.held.strip() and await self.moderation.flags_soon("answer", [text[start:]]):
            return Event("", event.tokens, "content_filter")
        found = Event(self.held, event.tokens, event.end, self.chances)
        self.said, self.held, self.chances = text, "", ()
        return found


def _is_piece(text: str) -> bool:
    size = len(text)
    return size >= LONGEST_PIECE_CHARS or (
        size >= PIECE_CHARS and _SENTENCE_END.search(text, PIECE_CHARS - 10) is not None
    )


def read_moderation(
    url: str | None, key_file: Path | None, *, open_: bool = False, seconds: float = SECONDS
) -> Moderation | None:
    """The judge that an operator named, its key from a file or the environment.

    Args:
        url: None: no judge.
        key_file: holds the key alone; None: the variable ``HANHUA_MODERATION_KEY``, if it is set.
        open_: see :class:`Moderation`.
        seconds: see :class:`Moderation`.

    Raises:
        ServeError: when the address is none, or the file holds no key.
    """
    if url is None:
        if key_file or open_:
            raise ServeError("There is nobody to judge.", found="no --moderation",
                             fix="name the endpoint with --moderation URL")  # fmt: skip
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ServeError(
            "The moderation's address does not read.", where="--moderation",
            found="a name or password in it" if "@" in parts.netloc else url[:100],
            fix="give the whole address, such as https://HOST/v1/moderations; the key goes into "
            f"--moderation-key-file or {KEY_VARIABLE}",
        )  # fmt: skip
    return Moderation(url, key=_key(key_file), open_=open_, seconds=seconds)


def _key(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError("The moderation's key cannot be read.", where=path, found=error,
                         fix="write the key alone into a text file") from error  # fmt: skip
    if not key or not key.isascii() or len(key.split()) != 1:
        raise ServeError("The moderation's key does not read.", where=path,
                         found="not one word of ASCII",
                         fix="write the key alone into a text file")  # fmt: skip
    return key
