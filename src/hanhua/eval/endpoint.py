"""A model behind an OpenAI-style address, measured as far as such an address lets one look.

Multiple choice by letter needs the log-probabilities of the next token (``logprobs`` of
``/completions``), which vLLM and llama.cpp offer and many others do not. Bits per byte and drift
need every token's, which none offers. Answers need ``/chat/completions`` alone. What is not offered
is said, not guessed.
Reference: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hanhua.core.errors import ModelError, UsageError
from hanhua.core.progress import Progress
from hanhua.eval.answers import Asker
from hanhua.eval.choose import Answer
from hanhua.eval.samples import Asked
from hanhua.eval.target import split_userinfo
from hanhua.eval.tasks.question import LETTERS, Question, Task

TOPS = (20, 5)
"""Likeliest tokens asked for; of servers that refuse so many, fewer."""
AT_ONCE = 8
"""Questions that are asked again when one of them is refused."""
TIMEOUT_S = 120
KEY = "OPENAI_API_KEY"


class Refused(ModelError):
    """The server's answer is an error, or nothing that can be read."""


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """What an answer lacks, as a refusal."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Refused("The server's answer does not read.", where=url, found=repr(error),
                      fix="see that it is an OpenAI-style server") from error  # fmt: skip


def _opener(url: str) -> urllib.request.OpenerDirector:
    """By the environment's proxy, which has no business on the way to this machine itself."""
    here = urllib.parse.urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else ()))


@dataclass(slots=True)
class Endpoint:
    """One model of one server.

    Args:
        url: up to and with /v1.
        model: as the server calls it.
        top: how many of the likeliest tokens it tells.
        key: sent as a bearer token.
        login: ``user:password`` of the address, sent in place of a key and written nowhere.
        tops: numbers of likeliest tokens to ask for, the first that is not refused.
        more: said besides where one token is asked for.
        chats: whether it is asked for answers in a chat template; else it continues the text.
    """

    url: str
    model: str
    top: int = TOPS[0]
    key: str = field(default_factory=lambda: os.environ.get(KEY, ""), repr=False)
    login: str = field(default="", repr=False)
    tops: tuple[int, ...] = TOPS
    more: Mapping[str, Any] = field(default_factory=dict)
    chats: bool = True

    @classmethod
    def find(cls, url: str, model: str | None = None) -> Endpoint:
        """The server's model; where it has several, one must be named.

        Raises:
            ModelError: no server, or no list of models; UsageError: several models.
        """
        url, login = split_userinfo(url.rstrip("/"))
        found = cls(url if url.endswith("/v1") else f"{url}/v1", model or "", login=login)
        if not model:
            listed = found.get("models").get("data")
            rows = listed if isinstance(listed, list) else []
            names = [str(m["id"]) for m in rows if isinstance(m, dict) and "id" in m]
            if len(names) != 1:
                raise UsageError(
                    "It is not clear which of the server's models is meant.", where=url,
                    found=", ".join(names) or "none", fix="name it with --served-model",
                )  # fmt: skip
            found.model = names[0]
        return found

    def get(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the server; with a body it is a POST.

        Raises:
            Refused: an error status, or an error told with another.
            ModelError: nothing answers, or no JSON.
        """
        head = {"Content-Type": "application/json"}
        if self.login:
            head["Authorization"] = f"Basic {b64encode(self.login.encode()).decode()}"
        elif self.key:
            head["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps({"model": self.model, **body}).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, head)
        try:
            with _opener(self.url).open(request, timeout=TIMEOUT_S) as answer:
                found = dict(json.load(answer))
        except urllib.error.HTTPError as error:
            told = error.read().decode("utf-8", "replace")[:300]
            raise Refused("The server refuses the request.", where=f"{self.url}/{path}",
                          found=f"{error.code}: {told}") from error  # fmt: skip
        except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
            raise ModelError("No model answers there.", where=self.url, found=repr(error),
                             fix="start the server, or mend the address") from error  # fmt: skip
        if found.get("error"):
            raise Refused("The server refuses the request.", where=f"{self.url}/{path}",
                          found=str(found["error"])[:300])  # fmt: skip
        return found

    def next_tokens(self, prompt: str) -> dict[str, float]:
        """Log-probability of the likeliest next tokens, in nats; empty where it is not told."""
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": self.top,
                **self.more}  # fmt: skip
        with _readable(self.url):
            logprobs = self._first("completions", body).get("logprobs") or {}
            told = logprobs.get("top_logprobs")
            if told:
                return {str(t): float(v) for t, v in told[0].items()}
            # llama.cpp answers in the form of /chat/completions.
            pairs = [(str(x["token"]), float(x["logprob"]))
                     for x in (logprobs.get("content") or [{}])[0].get("top_logprobs") or ()]  # fmt: skip # noqa: E501
            return dict(sorted(pairs, key=lambda pair: pair[1]))  # of equal texts the likelier

    def _first(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The first of the choices that the server answers with."""
        return dict(self.get(path, body)["choices"][0])

    def answer(self, text: str, max_tokens: int) -> Asked:
        """The likeliest answer to a text as a user's message; its continuation without a template.

        Raises:
            Refused: an answer without a text; ModelError: see `get`.
        """
        path = "chat/completions" if self.chats else "completions"
        asked: dict[str, Any] = {"prompt": text}
        if self.chats:
            asked = {"messages": [{"role": "user", "content": text}]}
        with _readable(self.url):
            found = self.get(path, {"max_tokens": max_tokens, "temperature": 0, **asked})
            first, used = found["choices"][0], found.get("usage") or {}
            told = first["message"]["content"] if self.chats else first["text"]
            said = str(told or "").strip()
            finish = str(first.get("finish_reason") or "")
            return Asked(said, finish, int(used.get("completion_tokens") or 0))

    @property
    def template(self) -> str | None:
        """What texts are asked in, as far as it is known here."""
        return "the server's" if self.chats else None

    def asker(self, max_tokens: int) -> Asker:
        """How it is asked for answers; one that it refuses fails by itself."""

        def answer(texts: Sequence[str]) -> list[Asked]:
            try:
                return [self.answer(text, max_tokens) for text in texts]
            except Refused as error:
                raise ValueError(error.found) from error

        return Asker(
            answer=answer, template=self.template, at_once=AT_ONCE,
            means={"template": self.template, "max_new_tokens": max_tokens},
        )  # fmt: skip

    def probe(self) -> None:
        """Find out whether the server tells log-probabilities.

        Raises:
            ModelError: when it does not.
        """
        reason: object = "an answer without logprobs"
        for top in self.tops:
            self.top = top
            try:
                if self.next_tokens("1 + 1 ="):
                    return
            except Refused as error:
                reason = error.found
        raise ModelError(
            "This server tells no log-probabilities, so it cannot be asked multiple choice the "
            "way a local model is.", where=f"{self.url}/completions", found=reason,
            fix="evaluate the model's folder instead, or serve it by vLLM or llama.cpp",
        )  # fmt: skip

    def ask(self, task: Task, progress: Progress) -> list[Answer]:
        """Ask a task's questions by letter, in order; see `choose.ask`."""
        found = []
        with progress.bar(task.name, len(task.questions), "questions") as bar:
            for question in task.questions:
                found.append(self._ask(task, question))
                bar.advance(1)
        return found

    def _ask(self, task: Task, question: Question) -> Answer:
        try:
            told = self.next_tokens(task.prompt(question, task.shots))
        except Refused as error:  # such as a prompt that is too long: of this question alone
            raise ValueError(error.found) from error
        exact = task.wording.options(question, "letter")  # such as " A", where that is a token
        if any(option in told for option in exact):
            seen = [told.get(option) for option in exact]
        else:
            seen = [
                max((v for t, v in told.items() if t.strip() == x), default=None)
                for x in LETTERS[: len(question.choices)]
            ]
        if all(value is None for value in seen):
            raise ValueError(f"no option among the {len(told)} likeliest tokens: {list(told)[:5]}")
        least = min(told.values())  # an option that is not told is no likelier than this
        scores = tuple(least if value is None else value for value in seen)
        choice = max(range(len(scores)), key=lambda i: (seen[i] is not None, scores[i], -i))
        return Answer(question.id, question.subject, question.answer, choice, choice, scores,
                      task.shots, False)  # fmt: skip
