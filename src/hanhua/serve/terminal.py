"""Talk to a model in the terminal: streaming, with history; or pipe questions in, one a line."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from hanhua.core.errors import HanhuaError, InputError, ModelError
from hanhua.serve.engine import Engine, Job
from hanhua.serve.run import model_name, resolve_run
from hanhua.serve.sampling import Sampling
from hanhua.serve.served import Served, load_served

_HELP = "commands: /reset forgets the conversation, /exit leaves (so does Ctrl-D)"


@dataclass(slots=True)
class Talk:
    """One conversation with a model.

    Args:
        engine: answers.
        out: where answers go as they come.
        system: what the assistant is told beforehand; empty for nothing.
        max_tokens: longest answer.
        sampling: how tokens are chosen.
    """

    engine: Engine
    out: TextIO
    system: str = ""
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    messages: list[dict[str, str]] = field(default_factory=list)

    def ask(self, question: str) -> str:
        """Ask, stream the answer out, remember both; old turns go when the context is full.

        Raises:
            InputError: when the question alone does not fit.
        """
        self.messages.append({"role": "user", "content": question})
        try:
            prompt = self._fit()
        except HanhuaError:
            self.messages.pop()
            raise
        served = self.engine.served
        room = served.context_tokens - len(prompt)
        job = Job(prompt=tuple(prompt), max_tokens=min(self.max_tokens, room),
                  sampling=self.sampling, trim=True)  # fmt: skip
        answer = ""
        with contextlib.closing(self.engine.events(job)) as events:
            try:
                for event in events:
                    answer += event.text
                    self.out.write(event.text)
                    self.out.flush()
            except KeyboardInterrupt:
                self.out.write(" …")
        self.out.write("\n")
        self.out.flush()
        self.messages.append({"role": "assistant", "content": answer})
        return answer

    def _fit(self) -> list[int]:
        """The prompt, after dropping the oldest exchanges that leave no room for an answer."""
        served = self.engine.served
        wanted = min(self.max_tokens, served.context_tokens // 4)
        while True:
            head = [{"role": "system", "content": self.system}] if self.system else []
            prompt = served.encode_chat([*head, *self.messages])
            if len(prompt) + wanted <= served.context_tokens:
                return prompt
            if len(self.messages) == 1:
                raise InputError(
                    "The question does not fit the model's context.",
                    found=f"{len(prompt)} tokens, of {served.context_tokens} with the answer",
                    fix="shorten it",
                )
            del self.messages[:2]


def chat(
    model: Path,
    *,
    prompt: str | None = None,
    system: str | None = None,
    max_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    source: TextIO | None = None,
    out: TextIO | None = None,
) -> list[dict[str, str]]:
    """Talk until the input ends.

    Args:
        model: see :func:`hanhua.serve.run.resolve_run`.
        prompt: ask this once and return.
        system: the system message.
        max_tokens: longest answer.
        temperature: 0 always gives the same answer.
        top_p: see :class:`hanhua.serve.sampling.Sampling`.
        seed: of the sampling.
        source: where questions come from, stdin when None. On a terminal a prompt sign is shown.
        out: where answers go, stdout when None.

    Returns:
        The messages of the conversation (since the last /reset).

    Raises:
        ModelError: when the model cannot be loaded or has no chat template.
    """
    source, out = source or sys.stdin, out or sys.stdout
    folder = resolve_run(model)
    served = load_served(folder, name=model_name(model))
    _check_chats(served, folder)
    engine = Engine(served, max_running=1)
    sampling = Sampling(temperature=temperature, top_p=top_p, seed=seed)
    talk = Talk(engine, out, system or "", max_tokens, sampling)
    try:
        if prompt is not None:
            talk.ask(prompt)
        else:
            _converse(talk, source, source.isatty())
    finally:
        engine.close()
    return talk.messages


def _check_chats(served: Served, folder: Path) -> None:
    from hanhua.chat.encode import template_of

    try:
        template_of(served.tokenizer)
    except ModelError as error:
        raise ModelError(error.what, where=folder, fix=error.fix) from error
    if served.notice:
        sys.stderr.write(f"{served.notice}\n")


def _converse(talk: Talk, source: TextIO, terminal: bool) -> None:
    out = talk.out
    if terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # gives input() editing and a history
        out.write(f"{talk.engine.served.name}: {_HELP}\n")
    while True:
        try:
            line = input("> ") if terminal else source.readline()
        except (EOFError, KeyboardInterrupt):
            out.write("\n")
            return
        if not terminal and not line:
            return
        question = line.strip()
        if question == "/exit":
            return
        if question == "/reset":
            talk.messages.clear()
        elif question.startswith("/") and terminal:
            out.write(_HELP + "\n")
        elif question:
            try:
                talk.ask(question)
            except InputError as error:
                out.write(error.message + "\n")
