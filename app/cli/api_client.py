"""HTTP client of a running service. A failed request ends the command with the server's own sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from app.cli.exit_codes import CommandFailed, ExitCode

CONNECT_SECONDS = 5.0
# A settings change waits for the miner, and a scan without progress for the whole network.
ANSWER_SECONDS = 120.0
PIECE_BYTES = 64 * 1024
_CODES = {
    401: ExitCode.MINER_FAILED,  # without a challenge: the miner's; with one: see below
    403: ExitCode.AUTHENTICATION,
    404: ExitCode.NOT_FOUND,
    502: ExitCode.MINER_FAILED,
    504: ExitCode.MINER_FAILED,
}


class BearerToken(AuthBase):
    """Adds the token to each request. It is always set, so that requests reads no password from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class ApiClient:
    """Sends requests to the service at `url`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._session = requests.Session()
        self._session.auth = BearerToken(token)

    def get(self, path: str, **query: Any) -> Any:
        return self.send("GET", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the parsed answer. Raises: CommandFailed for every failure."""
        response = self._request(method, path, json=body, params=_drop_absent(query or {}), headers=headers)
        answer = parse_json(response)
        if not response.ok:
            raise self._make_error(response, answer)
        if answer is None:
            raise self._not_pluto_error()
        return answer

    def request_raw(self, path: str) -> requests.Response:
        """Return an answer with any status."""
        return self._request("GET", path)

    @contextmanager
    def stream_body(self, path: str, **query: Any) -> Iterator[Iterator[bytes]]:
        """Yield an iterator over the pieces of an answer's body."""
        response = self._request("GET", path, params=_drop_absent(query), stream=True)
        with response:
            if not response.ok:
                raise self._make_error(response, parse_json(response))
            yield self._iterate_pieces(response)

    def _iterate_pieces(self, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(PIECE_BYTES)
        except requests.RequestException:
            raise CommandFailed(
                ExitCode.SERVICE_FAILED, "The service ended the answer before it was complete; see its log"
            ) from None

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, self.url + path, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False, **options
            )
        except requests.RequestException as error:
            raise CommandFailed(
                ExitCode.UNREACHABLE,
                f"No answer from {self.url}: {describe_failure(error)}. Is the service running? "
                "Set PLUTO_URL or --url if it is elsewhere; `pluto doctor` finds out more",
            ) from None
        if 300 <= response.status_code < 400:
            target = urlsplit(response.headers.get("Location", ""))
            raise CommandFailed(
                ExitCode.UNREACHABLE,
                f"{self.url} redirects to {target.scheme}://{target.hostname}, which is not followed: set PLUTO_URL "
                "to the service's own address",
            )
        return response

    def _make_error(self, response: requests.Response, answer: Any) -> CommandFailed:
        if not isinstance(answer, dict) or not isinstance(answer.get("error"), str):
            return self._not_pluto_error(response.status_code)
        sentence = answer["error"]
        for field, problems in _iterate_details(answer.get("details")):
            sentence += f"\n  {field}: {problems}"
        if wait := response.headers.get("Retry-After"):
            sentence += f"\n  Try again in {wait} s."
        return CommandFailed(choose_exit_code(response), sentence)

    def _not_pluto_error(self, status: int = 200) -> CommandFailed:
        return CommandFailed(
            ExitCode.UNREACHABLE,
            f"The server at {self.url} does not answer like Pluto (status {status}): check the URL",
        )


def choose_exit_code(response: requests.Response) -> ExitCode:
    """Return the exit code for an error's status. 401 with a challenge is the service's, without one the miner's."""
    status = response.status_code
    if status == 401 and "WWW-Authenticate" in response.headers:
        return ExitCode.AUTHENTICATION
    return _CODES.get(status, ExitCode.REFUSED if status < 500 else ExitCode.SERVICE_FAILED)


def describe_failure(error: requests.RequestException) -> str:
    """Return the reason of a failed request in a few words, without the address."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    text = str(error)
    reasons = (
        ("refused", "the connection was refused: nothing listens there"),
        ("resolve", "the host name is not known"),
        ("getaddrinfo", "the host name is not known"),
        ("Name or service", "the host name is not known"),
        ("CERTIFICATE", "its certificate is not valid"),
        ("SSL", "it does not speak TLS"),
        ("unreachable", "there is no route to it"),
        ("No route", "there is no route to it"),
    )
    return next((reason for word, reason in reasons if word.lower() in text.lower()), "the connection was closed")


def parse_json(response: requests.Response) -> Any:
    """Return the parsed body, None if it is not JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def quote_path(text: str) -> str:
    """Return a part of a path."""
    return quote(text, safe=":")


def _iterate_details(details: object) -> Iterator[tuple[str, str]]:
    for field, problems in details.items() if isinstance(details, dict) else ():
        yield str(field), " ".join(map(str, problems)) if isinstance(problems, list) else str(problems)


def _drop_absent(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
