"""Rules and elements of nft as evidence, in nft's own syntax (analyze/nft/words.py).

Counters are no part of the text: they stand beside it, so that the same rule has the same text in two samples.
"""

from __future__ import annotations

from netinspect.analyze.nft.words import say_element, say_part, say_statement
from netinspect.models.nft import NftRule
from netinspect.models.nft_expression import Element
from netinspect.models.nft_statement import Counter
from netinspect.models.service_map import RuleRef


def rule_ref(table: str, chain: str, rule: NftRule) -> RuleRef:
    """Return a rule as evidence, with its counter where it has one."""
    counter = next((each for each in rule.statements if isinstance(each, Counter)), None)
    words = [say_statement(each) for each in rule.statements if not isinstance(each, Counter)]
    return RuleRef(
        where=f"{table} {chain}",
        text=" ".join((*words, rule.remainder) if rule.remainder else words),
        packets=counter.packets if counter else None,
        bytes=counter.bytes if counter else None,
    )


def element_ref(where: str, element: Element) -> RuleRef:
    """Return an element of a set or map as evidence, with its counter where it has one."""
    return RuleRef(where=where, text=say_element(element), packets=element.packets, bytes=element.bytes)


def unclear_text(part: object) -> str:
    """Return what could not be judged in a rule: a part of it, or what was said of it; `""` where it is all of it."""
    if part is None:
        return ""
    return part if isinstance(part, str) else say_part(part)
