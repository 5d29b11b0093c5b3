"""One file over HTTP, resumed where it was cut off. Whether it is the right file is asked later."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, NoReturn

from maxprune.data.bars import Tick
from maxprune.errors import OutputError, UsageError

TRIES = 5  # requests to one server, one after the other, that get no further than those before
TIMEOUT = 20.0  # seconds without a byte
_CHUNK = 1 << 16


class Unavailable(Exception):  # noqa: N818  (what the server is)
    """This address does not give the file; another mirror may."""


class _CutOff(Unavailable):
    """The connection broke; asking again may help."""


def transfer(url: str, part: Path, limit: int, tick: Tick) -> bool:
    """Bring the file at `url` to `part`, going on where an earlier transfer ended.

    A connection that breaks is taken up again as long as bytes still come. After an error `part`
    keeps what arrived.

    Args:
        url: an http or https address.
        part: where the bytes go; what is there already must come from the same address.
        limit: bytes that the file has at most; a server that sends more is refused.
        tick: is told how far it is.

    Returns:
        Whether some of the bytes were there before, from an earlier transfer.

    Raises:
        Unavailable: the server does not give the file.
        OutputError: `part` cannot be written.
        UsageError: `url` is not an http or https address.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is not an address that starts with http:// or https://")
    most = _size(part)
    resumed = most > 0
    fruitless = 0
    while True:
        try:
            _attempt(url, part, limit, tick)
        except _CutOff:
            there = _size(part)
            fruitless = fruitless + 1 if there <= most else 0
            most = max(most, there)
            if fruitless == TRIES:
                raise
        else:
            return resumed


def _attempt(url: str, part: Path, limit: int, tick: Tick) -> None:
    """One request; returns when `part` is as long as the server says that the file is."""
    have = _size(part)
    wanted = {"Range": f"bytes={have}-"} if have else {}
    headers = {"Accept-Encoding": "identity", "User-Agent": "maxprune", **wanted}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  (the scheme is checked)
        with _opener().open(request, timeout=TIMEOUT) as response:
            start, total = _extent(response, have)
            if start is None:
                _empty(part)
                raise _CutOff("sends another range than was asked for")
            if total is not None and total > limit:
                raise Unavailable(f"has {total} bytes, expected {limit} at most")
            _receive(response, part, start, total, limit, tick)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            _empty(part)
            raise _CutOff("has fewer bytes than arrived before") from error
        raise Unavailable(f"answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _broken(error) from error


def _extent(response: http.client.HTTPResponse, have: int) -> tuple[int | None, int | None]:
    """Where the answer starts (None: not where it was asked to) and the length of the file.

    The length is None where the server does not say it.
    """
    length = response.headers.get("Content-Length", "")
    body = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if response.status == http.client.OK:
        return 0, body
    if response.status != http.client.PARTIAL_CONTENT:
        raise Unavailable(f"answers {response.status} {response.reason}")
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        return None, None
    return have, None if body is None else have + body


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    limit: int,
    tick: Tick,
) -> None:
    """Write what comes to `part`, from byte `start` (0, or its end)."""
    there = start
    with _open(part, "ab" if start else "wb") as file:
        while chunk := response.read(_CHUNK):
            there += len(chunk)
            if there > limit:
                file.truncate(0)
                raise Unavailable(f"sends more than the {limit} bytes that are expected at most")
            try:
                file.write(chunk)
            except OSError as error:
                _unwritable(part, error)
            tick(there, total)
    if total is not None and there < total:
        raise _CutOff(f"was cut off after {there} of {total} bytes")


def _broken(error: Exception) -> Unavailable:
    """What a failed connection means: a missing server, or a transfer worth taking up again."""
    reason = getattr(error, "reason", error)
    text = str(reason) or type(reason).__name__
    if isinstance(error, urllib.error.URLError | ValueError | http.client.InvalidURL):
        return Unavailable(f"cannot be reached ({text})")
    return _CutOff(f"was cut off ({text})")


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        _unwritable(part, error)


def _open(part: Path, mode: str) -> IO[bytes]:
    try:
        return part.open(mode)
    except OSError as error:
        _unwritable(part, error)


def _empty(part: Path) -> None:
    """Forget what arrived, so that the next request asks for the whole file."""
    _open(part, "wb").close()


def _unwritable(part: Path, error: OSError) -> NoReturn:
    """One message for a full disk and for a folder that cannot be written."""
    raise OutputError(
        f"cannot write {part}: {error.strerror or error}; set MAXPRUNE_CACHE to a folder that can "
        "be written and has room"
    ) from error


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https, through the user's proxy where one is set, and nothing else.

    A redirect to anything else finds nobody to follow it and ends as the answer 302.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    return opener
