"""Refusals in the shape that OpenAI's clients read.

Every answer that is not a success is ``{"error": {message, type, param, code}}`` with a status;
nothing of ours (paths, tracebacks) is in it.
Shape: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: the HTTP status.
        message: one or two sentences for the caller.
        param: the field at fault.
        code: a word for programs.
        headers: more response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str | None]]:
        """The JSON body."""
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }
