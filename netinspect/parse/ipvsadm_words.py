"""What the outputs of ipvsadm share: service addresses, endpoints, and lines that are read word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netinspect.errors import ParseError
from netinspect.models.address import Address, parse_address
from netinspect.models.ipvs import ServiceAddress
from netinspect.parse.tool_output import output_lines

_WORD = re.compile(r"[^ ]+")
_NUMBER = re.compile(r"[0-9]{1,20}")
# The tool prints the mark, a number of 32 bits without sign, as one with a sign (`%d`).
_MARK = re.compile(r"-?[0-9]{1,10}")
_ENDPOINT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})")
_VERSION = re.compile(r"IP Virtual Server version [0-9]+\.[0-9]+\.[0-9]+ \(size=[0-9]+\)")
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


class Words:
    """The words of one line, taken from left to right; whoever finds one wrong says which.

    Attributes:
        line: the line, without the blanks at its end.
    """

    def __init__(self, line: str, source: str) -> None:
        self.line = line.rstrip(" ")
        self._source = source
        self._words = list(_WORD.finditer(line))
        self._taken = 0

    @property
    def next(self) -> str:
        """The next word, empty at the end of the line."""
        return self._words[self._taken].group() if self._taken < len(self._words) else ""

    def take(self, what: str) -> str:
        """Take the next word.

        Raises:
            ParseError: there is none; the message says that `what` was expected.
        """
        word = self.next
        self._taken += 1
        if not word:
            raise self.error(f"expected {what}")
        return word

    def take_if(self, word: str) -> bool:
        """Take the next word if it is this one."""
        found = self.next == word
        self._taken += found
        return found

    def take_number(self, what: str) -> int:
        """Take the next word, a number without sign."""
        word = self.take(what)
        if not _NUMBER.fullmatch(word):
            raise self.error(f"expected {what}")
        return int(word)

    def take_endpoint(self) -> tuple[Address, int]:
        """Take an address and a port: `10.96.0.1:443`, `[fd00::1]:443`."""
        match = _ENDPOINT.fullmatch(self.take("address and port"))
        if match is None or int(match[3]) > 65535:
            raise self.error("expected address and port, in numbers")
        try:
            return parse_address(match[1] or match[2]), int(match[3])
        except ValueError as error:
            raise self.error(str(error)) from error

    def take_service(self, protocol: str | None, ipv6: str) -> ServiceAddress:
        """Take a service address of this protocol; None is a firewall mark, of IPv6 where the word `ipv6` follows."""
        if protocol is not None:
            address, port = self.take_endpoint()
            return ServiceAddress(family=address.version, protocol=protocol, address=address, port=port)
        mark = self.take("a firewall mark")
        if not _MARK.fullmatch(mark):
            raise self.error("expected a firewall mark")
        return ServiceAddress(fwmark=int(mark) % 2**32, family=6 if self.take_if(ipv6) else 4)

    def take_listed_service(self) -> ServiceAddress:
        """Take what a listing begins a virtual server with: `TCP  10.96.0.1:443`, `FWM  7 IPv6`."""
        word = self.take("a protocol")
        if word != "FWM" and word not in _PROTOCOLS:
            raise self.error("expected TCP, UDP, SCTP, FWM or ->")
        return self.take_service(_PROTOCOLS.get(word), "IPv6")

    def end(self) -> None:
        """Check that no word is left.

        Raises:
            ParseError: one is.
        """
        if self.next:
            self._taken += 1
            raise self.error("a word that is not known here")

    def error(self, message: str) -> ParseError:
        """Return an error that points at the word taken last, or at the end of the line."""
        place = self._taken - 1
        column = self._words[place].start() if place < len(self._words) else len(self.line)
        return ParseError(message, source=self._source, line=self.line, column=column)


def whole_lines(stdout: bytes, source: str) -> list[Words]:
    """Cut output into lines, each of which the tool ended.

    Raises:
        ParseError: the last line lacks its line feed.
    """
    lines = output_lines(stdout)
    if stdout and not stdout.endswith(b"\n"):
        raise ParseError("the output ends within a line", source=source, line=lines[-1])
    return [Words(line, source) for line in lines]


def listed_lines(stdout: bytes, source: str, titles: Sequence[str]) -> list[Words]:
    """Return a listing's lines behind its titles, which say what its columns are.

    Raises:
        ParseError: it does not begin with the version and these titles, or ends within a line.
    """
    lines = whole_lines(stdout, source)
    if not lines:
        raise ParseError("no output, not even titles", source=source)
    if not _VERSION.fullmatch(lines[0].line):
        raise ParseError("expected the version of IPVS", source=source, line=lines[0].line)
    for place, title in enumerate(titles, 1):
        found = lines[place].line if place < len(lines) else ""
        if found.split() != title.split():
            raise ParseError(f"expected the title {title.strip()!r}", source=source, line=found)
    return lines[1 + len(titles) :]
