"""What the server counted, as Prometheus text.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from hanhua.serve.engine import Engine
from hanhua.serve.keys import Account

ROUTES = frozenset({"/", "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                    "/generate", "/chat", "/health", "/ready", "/metrics"})  # fmt: skip
"""Paths that are counted by name; every other is "other", so that callers can't grow the list."""


class Traffic:
    """HTTP answers by path and status."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()

    def count(self, path: str, status: int) -> None:
        """Count one answer."""
        self.answers[path if path in ROUTES else "other", status] += 1


def exposition(engine: Engine, traffic: Traffic, accounts: Sequence[Account] = ()) -> str:
    """All series as text."""
    return "\n".join([*_lines(engine, traffic), *_by_key(accounts)]) + "\n"


def _lines(engine: Engine, traffic: Traffic) -> Iterator[str]:
    stats = engine.stats
    yield from _head("hanhua_http_responses_total", "counter", "HTTP answers by path and status.")
    for (path, status), count in sorted(traffic.answers.items()):
        yield f'hanhua_http_responses_total{{path="{path}",status="{status}"}} {count}'
    yield from _head("hanhua_answers_total", "counter", "Finished answers by how they ended.")
    for end, count in sorted(stats.ended.items()):
        yield f'hanhua_answers_total{{end="{end}"}} {count}'
    yield from _one("hanhua_prompt_tokens_total", "counter", stats.prompt_tokens, "Prompt tokens.")
    yield from _one("hanhua_completion_tokens_total", "counter", stats.completion_tokens,
                    "Tokens produced.")  # fmt: skip
    yield from _one("hanhua_steps_total", "counter", stats.steps, "Forward passes.")
    yield from _head("hanhua_first_token_seconds", "summary", "From arrival to the first token.")
    yield f"hanhua_first_token_seconds_sum {stats.first_token_seconds:.6f}"
    yield f"hanhua_first_token_seconds_count {stats.first_tokens}"
    yield from _one("hanhua_running", "gauge", engine.running, "Requests that hold a slot.")
    yield from _one("hanhua_waiting", "gauge", engine.waiting, "Requests that wait for a slot.")
    yield from _one("hanhua_cache_bytes", "gauge", engine.cache_bytes, "Attention cache held.")


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


def _head(name: str, kind: str, help_: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"


def _one(name: str, kind: str, value: int, help_: str) -> Iterator[str]:
    yield from _head(name, kind, help_)
    yield f"{name} {value}"
