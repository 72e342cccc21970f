"""Finding what looks like a payment card's number, so that it is refused before it is kept anywhere.

The contract's rule: an issuer's prefix at that brand's length, passing Luhn, not adjoining a letter or digit, with or without
single spaces or dashes. Digits, spaces and dashes of any script count. Only free text is searched; ids, payment references,
phone numbers, tax ids, addresses of mail and boxes have their own grammars.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Unicode's space separators (Zs), and the invisible joiners that would hide a number from a reader of the digits only.
_SPACES = " \u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff"
# Unicode's dash punctuation (Pd), the minus signs, the hyphen bullet and the soft hyphen.
_DASHES = (
    r"\-\u00ad\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u207b\u208b\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    r"\ufe31\ufe32\ufe58\ufe63\uff0d"
)
_SEPARATOR = re.compile(f"[{_SPACES}{_DASHES}]")
# Twelve digits (the shortest brand) or more in a row, with at most one separator between two.
_RUN = re.compile(rf"\d(?:[{_SPACES}{_DASHES}]?\d){{11,}}")
_SHORTEST, _LONGEST = 12, 19

# The issuers' published ranges. Maestro's are those that it does not share with another brand or with article numbers at large.
_BRAND = re.compile(
    r"""
      4(?:\d{12}|\d{15}|\d{18})                                                      # Visa: 13, 16, 19
    | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}               # Mastercard: 16
    | 3[47]\d{13}                                                                    # American Express: 15
    | (?:30[0-5]\d|3095|3[689]\d\d)(?:\d{10}|\d{12}|\d{15})                          # Diners Club: 14, 16, 19
    | (?:6011|64[4-9]\d|65\d\d)\d{12,15}                                             # Discover: 16 to 19
    | (?:1800|2131)\d{11} | 35(?:2[89]|[3-8]\d)\d{12,15}                             # JCB: 15; 16 to 19
    | (?:62\d\d|81[0-6]\d|817[01])\d{12,15}                                          # UnionPay: 16 to 19
    | (?:50|5[6-9]|63|67)\d{10,17}                                                   # Maestro: 12 to 19
    """,
    re.VERBOSE | re.ASCII,
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def holds_card_number(text: str) -> bool:
    """Whether the text holds what looks like a payment card's number. Safe for any text; takes time linear in its length."""
    return any(_run_holds_card_number(text, run) for run in _RUN.finditer(text))


def may_hold_card_number(text: str) -> bool:
    """The cheap question before `holds_card_number`: False is certain, True is not."""
    return _RUN.search(text) is not None


def _run_holds_card_number(text: str, run: re.Match[str]) -> bool:
    """Try every sequence of whole groups: a number may stand between other numbers ("2 x 4111 1111 1111 1111 8")."""
    groups = [_ascii_digits(group) for group in _SEPARATOR.split(run[0])]
    first = 1 if _is_letter(text[run.start() - 1 : run.start()]) else 0
    last = len(groups) - 1 if _is_letter(text[run.end() : run.end() + 1]) else len(groups)
    for start in range(first, last):
        digits = ""
        for following in range(start, last):
            digits += groups[following]
            if len(digits) > _LONGEST:
                break
            if len(digits) >= _SHORTEST and _BRAND.fullmatch(digits) and _passes_luhn(digits):
                return True
    return False


def _is_letter(character: str) -> bool:
    """Whether a number that adjoins this character is part of a longer word. Digits are inside the run already."""
    return character.isalpha()


def _ascii_digits(group: str) -> str:
    return group if group.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in group)


def _passes_luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1: every second digit from the right doubled, the sum of all digits a multiple of ten."""
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
