"""What a request can get wrong, each with its HTTP status."""

from __future__ import annotations

from dialog_policy.errors import DialogPolicyError

__all__ = [
    "ConflictError",
    "FullError",
    "HttpError",
    "NotFoundError",
    "OverloadedError",
    "TooLargeError",
    "TooManyError",
    "UnprocessableError",
]


class HttpError(DialogPolicyError):
    """A request that cannot be answered as it was hoped; `headers` go with the answer."""

    status = 500

    def __init__(self, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or {}


class NotFoundError(HttpError):
    """There is no such thing."""

    status = 404


class ConflictError(HttpError):
    """Something else is going on, or there already."""

    status = 409


class FullError(HttpError):
    """The session takes no more turns, now or later."""

    status = 410


class TooLargeError(HttpError):
    """The body has too many bytes."""

    status = 413


class UnprocessableError(HttpError):
    """The request says something impossible."""

    status = 422


class TooManyError(HttpError):
    """A limit is reached; try again later."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_s)})


class OverloadedError(HttpError):
    """More is asked than can be answered in time."""

    status = 503
