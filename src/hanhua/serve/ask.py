"""From a checked request to the engine's jobs: prompts, limits, defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hanhua.core.errors import InputError, ModelError
from hanhua.serve.engine import Job
from hanhua.serve.errors import ApiError
from hanhua.serve.policy import Policy
from hanhua.serve.protocol import MAX_PROMPTS, ChatRequest, Options
from hanhua.serve.sampling import Sampling
from hanhua.serve.schema import check_schema, refused
from hanhua.serve.served import Served

if TYPE_CHECKING:
    from hanhua.serve.grammar import Grammar

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's /v1/completions gives where no max_tokens is asked."""


def chat_prompt(served: Served, policy: Policy, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """The prompt of a conversation.

    Raises:
        ApiError: 400 when the model does not chat, the roles don't take turns, it is too long,
            a blocked word is in it, or it is flagged; 503 when it cannot be judged.
    """
    if not served.chats:
        raise ApiError(
            400, "This model has no chat template, so it cannot chat: it is a base model. "
            "Use /v1/completions, or serve a model that was finetuned.", param="model",
            code="model_has_no_chat_template",
        )  # fmt: skip
    _check_length(served, sum(len(m["content"].strip().encode()) for m in messages), "messages")
    for message in messages:
        _check_words(policy, message["content"], "messages")
    try:
        ids = served.encode_chat(messages)
    except (InputError, ModelError) as error:
        found = f" ({error.found})" if error.found else ""
        raise ApiError(
            400, f"{error.what}{found}", param="messages", code="invalid_value"
        ) from None
    _check_flags(policy, [message["content"] for message in messages], "messages")
    return ids


def raw_prompts(
    served: Served,
    policy: Policy,
    given: Sequence[str | list[int]],
    param: str = "prompt",
    most: int = MAX_PROMPTS,
) -> list[list[int]]:
    """The ids of raw texts.

    Raises:
        ApiError: 400 when one is too long, empty, holds ids that the model doesn't know or a
            blocked word, or is flagged; 503 when they cannot be judged.
    """
    if not 1 <= len(given) <= most:
        raise ApiError(400, f"'{param}' must hold 1 to {most} texts.", param=param)
    found = []
    for prompt in given:
        if isinstance(prompt, str):
            _check_length(served, len(prompt.encode()), param)
            _check_words(policy, prompt, param)
            ids = served.encode_text(prompt)
        else:
            ids = prompt
        if not ids:
            raise ApiError(400, "A prompt must not be empty.", param=param)
        if not all(0 <= token < served.n_tokens for token in ids):
            raise ApiError(
                400, f"Token ids must be from 0 to {served.n_tokens - 1}.", param=param
            )  # fmt: skip
        if len(ids) > served.context_tokens:  # before anything that takes longer with its length
            raise too_long(served, f"a text has {len(ids)}", param)
        if not isinstance(prompt, str) and policy.block:
            _check_words(policy, served.text_of(ids), param)
        found.append(ids)
    if policy.moderation:
        said = [text if isinstance(text, str) else served.text_of(text) for text in given]
        _check_flags(policy, said, param)
    return found


def _check_words(policy: Policy, text: str, param: str) -> None:
    if policy.block and policy.block.find(text) is not None:
        policy.block.refusals.add()
        raise ApiError(
            400, "The prompt holds a word that this server does not take.",
            param=param, code="content_filter",
        )  # fmt: skip


def _check_flags(policy: Policy, texts: Sequence[str], param: str) -> None:
    if policy.moderation and policy.moderation.flags("prompt", texts):
        raise ApiError(
            400, "The prompt was flagged by this server's moderation.",
            param=param, code="content_filter",
        )  # fmt: skip


def _check_length(served: Served, size: int, param: str) -> None:
    if served.hopeless(size):
        raise too_long(served, f"{size} bytes of text can't fit it", param)


def too_long(served: Served, reason: str, param: str) -> ApiError:
    """The refusal of what does not fit the context."""
    return ApiError(
        400, f"This model's maximum context length is {served.context_tokens} tokens; {reason}. "
        "Shorten the prompt or ask for fewer tokens.", param=param, code="context_length_exceeded",
    )  # fmt: skip


def answer_grammar(served: Served, request: ChatRequest) -> Grammar | None:
    """What the answer is held to; the first request of a kind takes a while.

    Raises:
        ApiError: 400 when the schema is not one that can be carried out.
    """
    asked = request.response_format
    if asked is None or asked.type == "text":
        return None
    from hanhua.serve.grammar import NoGrammar

    if asked.json_schema is None:
        return served.grammars.json_object()
    check_schema(asked.json_schema.content)
    try:
        return served.grammars.by_schema(asked.json_schema.content)
    except NoGrammar as error:
        raise refused("#", str(error)) from None


def make_jobs(
    served: Served,
    policy: Policy,
    request: Options,
    prompts: Sequence[Sequence[int]],
    param: str,
    grammar: Grammar | None = None,
) -> list[Job]:
    """One job per prompt and choice, prompt by prompt.

    Raises:
        ApiError: 400 when prompt and answer do not fit the context together, or a bias is for
            an id that the model doesn't know.
    """
    chats = isinstance(request, ChatRequest)
    asked = getattr(request, "max_completion_tokens", None) or request.max_tokens
    jobs = []
    for prompt in prompts:
        room = served.context_tokens - len(prompt)
        wanted = asked or (room if chats else min(room, DEFAULT_COMPLETION_TOKENS))
        if room < 1 or wanted > room:
            reason = f"the prompt has {len(prompt)}" + (f" and {asked} were asked" if asked else "")
            raise too_long(served, reason, param)
        for sampling in _samplings(served, request):
            jobs.append(
                Job(
                    prompt=tuple(prompt),
                    max_tokens=wanted,
                    sampling=sampling,
                    stop=request.stops,
                    trim=chats,
                    chances=request.alternatives,
                    grammar=grammar,
                    block=policy.block,
                    max_seconds=policy.max_seconds,
                    judged=policy.moderation is not None,
                )
            )
    return jobs


def _samplings(served: Served, request: Options) -> list[Sampling]:
    """How each choice is drawn: alike but for the seed."""
    return [
        Sampling(
            temperature=served.temperature if request.temperature is None else request.temperature,
            top_p=request.top_p or served.top_p,
            seed=None if request.seed is None else request.seed + choice,
            frequency_penalty=request.frequency_penalty or 0.0,
            presence_penalty=request.presence_penalty or 0.0,
            bias=_bias(served, request.logit_bias or {}),
        )
        for choice in range(request.n or 1)
    ]


def _bias(served: Served, given: Mapping[str, float]) -> tuple[tuple[int, float], ...]:
    bias = {int(token): value for token, value in given.items()}
    if any(token >= served.n_tokens for token in bias):
        raise ApiError(
            400, f"'logit_bias' takes token ids from 0 to {served.n_tokens - 1}.",
            param="logit_bias", code="invalid_value",
        )  # fmt: skip
    return tuple(bias.items())
