"""What an operator decides about a server: who may ask, how long, what is not said."""

from __future__ import annotations

from dataclasses import dataclass, field

from hanhua.serve.keys import Key
from hanhua.serve.moderation import Moderation
from hanhua.serve.reach import Reach
from hanhua.serve.words import BlockWords


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of a server.

    Args:
        keys: valid API keys; none means that everyone may ask.
        max_seconds: longest time for a request, waiting included; 0: no limit.
        block: words that refuse a prompt and end an answer; None: none.
        moderation: who judges prompts and answers; None: nobody.
        compat: also serve the endpoints of older Chinese LLaMA projects.
        reach: host names and web pages that are answered.
        body_seconds: longest time for a request's body to come.
    """

    keys: tuple[Key, ...] = ()
    max_seconds: float = 0.0
    block: BlockWords | None = None
    moderation: Moderation | None = None
    compat: bool = False
    reach: Reach = field(default_factory=Reach)
    body_seconds: float = 30.0
