"""What both clients say of themselves over HTTP, and how they understand an answer."""

from typing import Any, TypeVar, cast

import httpx

from stanchion_client.calls import Call
from stanchion_client.errors import RefusedError, UnreachableError, refusal

Result = TypeVar("Result")


def checked(url: str) -> str:
    """Return an address of a server; raises ValueError for none, which no waiting would mend."""
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"url must begin with http:// or https://, got {url!r}")
    return url


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    # Some paths read nothing else, so that no page's form reaches them.
    headers = {"Content-Type": "application/json"}
    return headers if api_key is None else {**headers, "X-API-KEY": api_key}


def patience_for(call: Call[Any], timeout_s: float) -> httpx.Timeout:
    """Return how long to wait for each step of a call."""
    return httpx.Timeout(timeout_s, read=timeout_s + call.waits_s)


def answer_of(call: Call[Result], response: httpx.Response) -> Result:
    """Return what an answer means; raises RefusedError, and UnreachableError for another server."""
    if not response.is_success:
        error = refusal_of(response)
        if call.is_none is not None and error.code == call.is_none:
            return cast("Result", None)
        raise error
    try:
        return call.read(response.json())
    except (KeyError, TypeError, ValueError) as error:
        raise UnreachableError(f"{response.url} is no answer of Stanchion's: {error!r}") from error


def refusal_of(response: httpx.Response) -> RefusedError:
    """Return the error of an answer that is no success."""
    try:
        body = response.json()
    except ValueError:
        body = {"message": response.reason_phrase}
    if isinstance(body.get("error"), dict):  # the form of waiting rooms
        body = body["error"]
    return refusal(response.status_code, body, response.headers.get("Retry-After"))
