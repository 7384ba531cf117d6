"""What the server counted, as Prometheus text.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from hanhua.serve.engine import Engine
from hanhua.serve.keys import Account
from hanhua.serve.models import Models
from hanhua.serve.policy import Policy

ROUTES = frozenset({"/", "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                    "/tokenize", "/generate", "/chat", "/health", "/ready",
                    "/metrics"})  # fmt: skip
"""Paths that are counted by name; every other is "other", so that callers can't grow the list."""


class Traffic:
    """HTTP answers by path and status."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()

    def count(self, path: str, status: int) -> None:
        """Count one answer."""
        self.answers[path if path in ROUTES else "other", status] += 1


def exposition(
    models: Models, traffic: Traffic, policy: Policy, accounts: Sequence[Account] = ()
) -> str:
    """All series as text; those of models have the label ``model`` where there are several."""
    lines = [*_answers(traffic), *_by_model(models), *_by_key(accounts), *_by_judge(policy)]
    return "\n".join(lines) + "\n"


def _answers(traffic: Traffic) -> Iterator[str]:
    yield from _head("hanhua_http_responses_total", "counter", "HTTP answers by path and status.")
    for (path, status), count in sorted(traffic.answers.items()):
        yield f'hanhua_http_responses_total{{path="{path}",status="{status}"}} {count}'


def _by_model(models: Models) -> Iterator[str]:
    several = len(models.engines) > 1
    rows = [(f'model="{_escaped(e.served.name)}"' if several else "", e) for e in models.engines]
    yield from _head("hanhua_answers_total", "counter", "Finished answers by how they ended.")
    for label, engine in rows:
        for end, count in sorted(engine.stats.ended.items()):
            yield _row("hanhua_answers_total", label, f'end="{end}"', count)
    for name, kind, help_, value in _SERIES:
        yield from _head(name, kind, help_)
        for label, engine in rows:
            if kind == "summary":
                stats = engine.stats
                yield _row(f"{name}_sum", label, "", f"{stats.first_token_seconds:.6f}")
                yield _row(f"{name}_count", label, "", stats.first_tokens)
            else:
                yield _row(name, label, "", value(engine))


_SERIES: tuple[tuple[str, str, str, Callable[[Engine], int]], ...] = (
    ("hanhua_prompt_tokens_total", "counter", "Prompt tokens.", lambda e: e.stats.prompt_tokens),
    ("hanhua_completion_tokens_total", "counter", "Tokens produced.",
     lambda e: e.stats.completion_tokens),
    ("hanhua_steps_total", "counter", "Forward passes.", lambda e: e.stats.steps),
    ("hanhua_first_token_seconds", "summary", "From arrival to the first token.",
     lambda e: e.stats.first_tokens),
    ("hanhua_running", "gauge", "Requests that hold a slot.", lambda e: e.running),
    ("hanhua_waiting", "gauge", "Requests that wait for a slot.", lambda e: e.waiting),
    ("hanhua_cache_bytes", "gauge", "Attention cache held.", lambda e: e.cache_bytes),
)  # fmt: skip
"""Name, kind, help and value of what each engine counts."""


def _row(name: str, model: str, label: str, value: object) -> str:
    labels = ",".join(part for part in (model, label) if part)
    return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _by_key(accounts: Sequence[Account]) -> Iterator[str]:
    """Counts by the name of the key; the key itself is never shown."""
    if not accounts:
        return
    for what, help_ in {
        "requests": "Requests that were let in.",
        "refused": "Requests that met the key's limit.",
        "tokens": "Prompt and answer tokens.",
    }.items():
        yield from _head(f"hanhua_key_{what}_total", "counter", help_)
        for account in accounts:
            value = getattr(account, what)
            yield f'hanhua_key_{what}_total{{key="{account.key.name}"}} {value}'


def _by_judge(policy: Policy) -> Iterator[str]:
    """What word list and judge found, where there is one."""
    if policy.block:
        name = "hanhua_blocked_prompts_total"
        yield from _head(name, "counter", "Prompts that the word list refused.")
        yield f"{name} {policy.block.refusals.count}"
    if policy.moderation:
        tally = policy.moderation.tally
        name = "hanhua_moderated_texts_total"
        yield from _head(name, "counter", "Texts given to the judge, by what came of it.")
        for of in ("prompt", "answer"):
            for result in ("passed", "flagged", "unjudged"):
                labels = f'of="{of}",result="{result}"'
                yield f"{name}{{{labels}}} {tally.texts[of, result]}"
        name = "hanhua_moderation_seconds"
        yield from _head(name, "summary", "From asking the judge to its judgement.")
        yield f"{name}_sum {tally.seconds:.6f}"
        yield f"{name}_count {tally.judgements}"


def _head(name: str, kind: str, help_: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
