"""Which names a server answers to, and which web pages may use it.

A server on loopback is out of reach of other machines, but not of pages that a browser of this
machine shows. A page may make its own host name point here (DNS rebinding) and is then of the same
origin for the browser: the Host header alone tells. A page that calls us by our own name is told by
Sec-Fetch-Site, which every browser sends to loopback and no page can forge, or by Origin.
Sources: https://www.rfc-editor.org/rfc/rfc9110#name-host-and-authority ,
https://www.w3.org/TR/fetch-metadata/ , and Go's net/http.CrossOriginProtection for their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import Scope

from hanhua.core.errors import UsageError
from hanhua.serve.errors import ApiError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
ANY = "*"
PROBES = frozenset({"/health", "/ready"})
"""Asked by whatever address a load balancer has for us, and telling nothing."""

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\s]+?)\.?(?::\d*)?")
_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Who is answered, as far as browsers tell.

    Args:
        hosts: names that the server is called by; None: any.
        origins: foreign pages that may use it, as ``scheme://host[:port]``.
        pages: whether pages that are not named may, too: where a key is asked for, it decides.
    """

    hosts: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()
    pages: bool = True

    def check(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            ApiError: 403 with the option that would let it in.
        """
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host")
        # HTTP/1.0 may come without: no browser does that.
        if self.hosts is not None and host is not None and scope["path"] not in PROBES:
            found = _AUTHORITY.fullmatch(host.lower())
            if not found or found[1] not in self.hosts:
                raise _refused("host", "by the host name", host)
        if scope["method"] in ("GET", "HEAD") or self.pages or ANY in self.origins:
            return
        origin = headers.get(b"origin", "")
        if _foreign(headers.get(b"sec-fetch-site"), origin, host or ""):
            if origin not in self.origins:
                raise _refused("origin", "to pages of the origin", origin or "that is not told")


def _foreign(site: str | None, origin: str, host: str) -> bool:
    """Whether a page of elsewhere asks."""
    if site is not None:
        return site not in ("same-origin", "none")  # none: the user, or an extension let in by them
    scheme, _, authority = origin.partition("://")
    port = _PORTS.get(scheme, "")
    return bool(origin) and authority.removesuffix(port) != host.lower().removesuffix(port)


def _refused(what: str, how: str, name: str) -> ApiError:
    name = name[:100]
    return ApiError(
        403, f"This server does not answer {how} {name!r}. If it should, start it with "
        f"--allowed-{what} (hanhua serve --help).", code=f"{what}_not_allowed",
    )  # fmt: skip


def make_reach(
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    *,
    host: str = "127.0.0.1",
    loopback: bool = True,
    keyed: bool = False,
) -> Reach:
    """The rules of a server.

    Args:
        hosts: names that the operator lets in, without a port; ``*``: any.
        origins: pages that the operator lets in, ``scheme://host[:port]``, ``null`` or ``*``.
        host: the address that the operator named to listen on.
        loopback: whether that is this machine alone. Elsewhere nobody knows by which names a
            server is called, and all are good unless some are named.
        keyed: whether a key is asked for, which no foreign page has.

    Raises:
        UsageError: when a name does not read.
    """
    named = frozenset(map(_host, hosts))
    pages = frozenset(map(_origin, origins))
    known: frozenset[str] | None = None
    if ANY not in named and (named or (loopback and not keyed)):
        own = f"[{host}]" if ":" in host else host
        known = named | LOOPBACK | {own.lower()}
    return Reach(hosts=known, origins=pages, pages=keyed)


def _host(name: str) -> str:
    try:
        plain = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name
        plain = plain if plain == ANY else plain.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        plain = ""
    found = _AUTHORITY.fullmatch(plain)
    if not found or found[1] != plain:
        raise UsageError("This is no host name.", where="--allowed-host", found=name,
                         fix="give a name or address alone, without http:// and port")  # fmt: skip
    return plain


def _origin(name: str) -> str:
    if name in (ANY, "null"):
        return name
    try:
        parts = urlsplit(name)
        authority = parts.netloc.encode("idna").decode().lower()
        port = _PORTS.get(parts.scheme, "")
        bare = parts.scheme and _AUTHORITY.fullmatch(authority) and not any(parts[2:])
    except ValueError:  # UnicodeError too
        bare = None
    if not bare:
        raise UsageError("This is no origin of a page.", where="--allowed-origin", found=name,
                         fix="give scheme://host[:port] and nothing behind it, as in "
                         "https://chat.example.org")  # fmt: skip
    return f"{parts.scheme}://{authority.removesuffix(port)}"
