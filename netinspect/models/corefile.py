"""CoreDNS's Corefile as a tree of words. Source: coredns.io/manual/configuration, and Caddy v1's caddyfile package."""

from __future__ import annotations

import msgspec


class CorefileDirective(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A line of a block: a plugin, or a property of one.

    Attributes:
        name: its first word: `kubernetes`, `forward`, `pods`, ...
        arguments: the other words of its line, without quotes.
        block: the lines between its braces.
        line: where it stands, from 1.
    """

    name: str
    arguments: tuple[str, ...] = ()
    block: tuple[CorefileDirective, ...] = ()
    line: int


class CorefileZone(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one key of a server block listens for.

    Attributes:
        text: as written: `.:53`, `dns://example.org`, `10.0.0.0/8`.
        scheme: `dns`, `tls`, `grpc`, `https`, `https3`, `quic`, `unix`.
        zone: the zone with the root's dot, in lower case; as written where it holds `{$VARIABLE}`. A prefix is the
            reverse zone of its addresses, and several zones of the same text where it ends within a label.
        port: its port as written, "" where the scheme's own holds.
    """

    text: str
    scheme: str = "dns"
    zone: str
    port: str = ""


class CorefileServer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A server block.

    Attributes:
        zones: its keys.
        plugins: its lines, those of snippets included where they were imported.
        line: where it begins, from 1.
    """

    zones: tuple[CorefileZone, ...]
    plugins: tuple[CorefileDirective, ...] = ()
    line: int


class CorefileSnippet(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`(NAME) { ... }`: lines to be imported elsewhere.

    Attributes:
        name: without the parentheses.
        lines: what it holds.
        line: where it begins, from 1.
    """

    name: str
    lines: tuple[CorefileDirective, ...] = ()
    line: int


class Corefile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A Corefile.

    Attributes:
        servers: its server blocks, in order.
        snippets: its snippets.
        imports: files or globs that are imported and are not here to be read: what is missing is theirs.
        remainder: what Caddy or CoreDNS would refuse, or has no meaning, each with its line's number: "12: TEXT".
    """

    servers: tuple[CorefileServer, ...] = ()
    snippets: tuple[CorefileSnippet, ...] = ()
    imports: tuple[str, ...] = ()
    remainder: tuple[str, ...] = ()
