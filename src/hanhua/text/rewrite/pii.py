"""Masks personal data: Chinese identity cards, mobile numbers, e-mail, bank cards, IP, passports.

A number is masked when it proves itself, by checksum, date, issuer or a word beside it: over
112 MB of Chinese pages the usual pattern for an identity card (17 digits and one more) hit 1,064
times and was wrong every time, ``1`` and ten digits 1,534 times and was wrong in all but 13.
What is found becomes ``<id_card>``, ``<mobile>``, ``<email>``, ``<bank_card>``, ``<ip>`` or
``<passport>``: a model that writes one of these has named a slot, not a person, and a later tool
can fill it.

Most texts hold no candidate, and one pattern tells so. It begins with a plain set of characters,
since Python's ``re`` then skips to the next of the set at 400 MB/s instead of trying everywhere.
The patterns proper see only the lines that hold a candidate; so a word that makes a number a
passport's has to stand in the same line.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import TypeAlias

from hanhua.text.rewrite.signs import ALL, CANDIDATE

_Judge: TypeAlias = Callable[[re.Match[str]], bool]
_Masker: TypeAlias = Callable[[str], tuple[str, int]]

PII_KINDS: tuple[str, ...] = ("id_card", "mobile", "email", "bank_card", "ip", "passport")

# Digits in a row or in groups, dotted quads, the beginning of a global IPv6 address.
_NUMBERS = (
    r"[0-9]{6}|[ -][0-9]{4}[ -][0-9]{4}|\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]{3}:[0-9A-Fa-f:]"
)
_NUMBER = re.compile(f"[0-9](?:{_NUMBERS})")
_CANDIDATE = re.compile(f"[0-9@＠](?:(?<=[@＠])[A-Za-z0-9]|(?<=[0-9])(?:{_NUMBERS}))")
_ALONE = r"(?<![0-9A-Za-z_])(?<![0-9]\.)"
_ENDS = r"(?![0-9A-Za-z_])(?!\.[0-9])"
_NEAR_CHARS = 24

# GB 11643-1999: region, birthday, number, ISO 7064 MOD 11-2; groups may be spaced. The first two
# digits of a region are those of GB/T 2260, 81 to 83 for residents from Hong Kong, Macau, Taiwan.
_ID_CARD = re.compile(
    _ALONE + r"([1-9][0-9]{5})([ -]?)((?:18|19|20)[0-9]{6})\2([0-9]{3})([0-9Xx])" + _ENDS
)
_OLD_ID_CARD = re.compile(_ALONE + r"([1-9][0-9]{5})([0-9]{6})[0-9]{3}" + _ENDS)
_ID_WORDS = re.compile(r"身份证|身份證|身份号|身份號|证件号|證件號|(?i:id card|identity)")
_REGIONS = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 "
    "71 81 82 83 91".split()
)
_WEIGHTS = tuple(2**power % 11 for power in range(17, 0, -1))
_LAST_BIRTH_YEAR = 2049  # no clock: what a stage writes must not depend on the day it runs

_MOBILE = re.compile(
    _ALONE + r"(?:(?:\+?86|0086)[ -]?)?"
    r"1[3-9][0-9](?:[0-9]{8}|(?P<gap>[ -])[0-9]{4}(?P=gap)[0-9]{4}(?![ -][0-9]))" + _ENDS
)

_CARD = re.compile(
    _ALONE + r"(?:[2-9][0-9]{15,18}"
    r"|[2-9][0-9]{3}(?P<gap>[ -])[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}(?:(?P=gap)[0-9]{1,3})?)"
    + _ENDS
)
_UNION_PAY = re.compile("62|9558|9559|436742|456351|601382|603367|690755")
_OTHER_ISSUER = re.compile("4|5[1-5]|2[2-7]|35(?:2[89]|[3-8])|6011|65")
_CARD_WORDS = re.compile(
    r"卡号|卡號|账号|帐号|賬號|帳號|银行|銀行|信用卡|(?i:(?<!_)card|account|visa)"
)

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(
    rf"(?<![0-9A-Za-z_.-]){_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}(?!\.?[0-9A-Za-z_]|/[0-9]|-[A-Za-z])"
)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){1,6}:[0-9A-Fa-f]{1,4}"
    r"(?![0-9A-Za-z:/])"
)
_VERSION_WORDS = re.compile(r"(?i:版本?|ver(?:sion)?\.?|release|build)[ :：=]*\Z|[vV]\Z")
_VERSION_OCTET = 50  # three numbers below it: a version or a section, as 1 of 130 addresses is
_RESOLVERS = frozenset(
    "114.114.114.114 114.114.115.115 223.5.5.5 223.6.6.6 119.29.29.29 208.67.222.222".split()
)

_PASSPORT = re.compile(
    _ALONE + r"(?:[EGDSPH][0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|[A-Z]{1,2}[0-9]{7,8}|[0-9]{9})" + _ENDS
)
_PASSPORT_WORDS = re.compile(r"护照|護照|(?i:(?<!<)passport)")

# Country domains and the generic ones that people have addresses in: no list of all 1,400, in which
# getty@tty1.service and icon@2x.zip would be addresses too.
_DOMAIN = re.compile(
    r"[@＠]((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?:[A-Za-z]{2}|com|net|org|edu|gov"
    r"|mil|int|info|biz|name|pro|mobi|asia|xyz|top|shop|online|site|club|vip|wang|tech|store|cloud"
    r"|dev|app|email|mail|live|work|ink|ltd|group|link|fun|space|icu))(?![A-Za-z0-9-]|\.[A-Za-z0-9])",
    re.IGNORECASE,
)
_LOCAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*\Z")
_LOCAL_CHARS = 64
_USER_INFO = re.compile(r"://[^\s/@]*\Z")
_NOT_PERSONS = re.compile(r"(?i:(?:.*\.)?example\.(?:com|org|net|edu)|2x\..*|3x\..*)")


def mask(
    text: str, kinds: Collection[str] = PII_KINDS, seen: int = ALL
) -> tuple[str, dict[str, int]]:
    """Put a placeholder in the place of personal data. Pure, and finds nothing in its own result.

    Full-width digits are not looked at: normalise() has made them plain. Addresses that belong to
    no person stay: private, loopback, documentation and reserved ones (RFC 1918, 5737, 3849, 6890),
    networks, public resolvers, ``example.com`` (RFC 2606), ``git@`` and the user of a URL.

    Args:
        text: any string.
        kinds: which of PII_KINDS to mask.
        seen: the signs that it gave, if it was looked at; see signs.py.

    Returns:
        The text, and how many of each kind were masked; kinds that were not found are left out.

    Raises:
        KeyError: a kind that is not in PII_KINDS, once there is something to look at.
    """
    if not seen & CANDIDATE or (seen == ALL and not _CANDIDATE.search(text)):
        return text, {}
    ordered = sorted(set(kinds), key=_ORDER.__getitem__)
    counts: Counter[str] = Counter()
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if _CANDIDATE.search(line):
            lines[place] = _mask_line(line, ordered, counts)
    return "\n".join(lines), dict(+counts)


def _mask_line(line: str, kinds: Sequence[str], counts: Counter[str]) -> str:
    """Mask until nothing is found: a placeholder is shorter, and may bring a word near a number."""
    before = None
    while line != before:
        before, has_number = line, _NUMBER.search(line)
        for kind in kinds:
            if has_number or kind == "email":
                line, hits = _MASKS[kind](line)
                counts[kind] += hits
    return line


def _masker(kind: str, *rules: tuple[re.Pattern[str], _Judge]) -> _Masker:
    """Masks what a pattern matches and its judge believes."""
    placeholder = f"<{kind}>"

    def masked(text: str) -> tuple[str, int]:
        after = text
        for pattern, judge in rules:
            after = pattern.sub(_replacer(judge, placeholder), after)
        return after, after.count(placeholder) - text.count(placeholder)

    return masked


def _replacer(judge: _Judge, placeholder: str) -> Callable[[re.Match[str]], str]:
    return lambda match: placeholder if judge(match) else match[0]


def _near(match: re.Match[str], words: re.Pattern[str]) -> bool:
    """Whether one of the words, and not a placeholder, stands shortly before a match."""
    return bool(words.search(match.string, max(0, match.start() - _NEAR_CHARS), match.start()))


def _is_id_card(match: re.Match[str]) -> bool:
    region, _, birthday, number, check = match.groups()
    if region[:2] not in _REGIONS or not _is_date(birthday):
        return False
    total = sum(w * int(d) for w, d in zip(_WEIGHTS, region + birthday + number, strict=True))
    return "10X98765432"[total % 11] == check.upper()


def _is_old_id_card(match: re.Match[str]) -> bool:
    region, birthday = match.groups()
    return region[:2] in _REGIONS and _is_date("19" + birthday) and _near(match, _ID_WORDS)


def _is_date(digits: str) -> bool:
    try:
        found = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return found.year <= _LAST_BIRTH_YEAR


def _is_card(match: re.Match[str]) -> bool:
    """Whether an issuer, a length and the Luhn digit (ISO/IEC 7812) agree.

    One number in ten passes Luhn, so 16 digits that begin like a foreign card need a word or the
    gaps of a card as well.
    """
    digits = match[0].replace(match["gap"] or " ", "")
    if not 16 <= len(digits) <= 19:
        return False
    if not _UNION_PAY.match(digits):
        if len(digits) != 16 or not _OTHER_ISSUER.match(digits):
            return False
        if not match["gap"] and not _near(match, _CARD_WORDS):
            return False
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _is_ipv4(match: re.Match[str]) -> bool:
    octets = [int(octet) for octet in match[0].split(".")]
    if max(octets[:3]) < _VERSION_OCTET or octets[3] in (0, 255) or match[0] in _RESOLVERS:
        return False
    address = ipaddress.IPv4Address(match[0])
    return address.is_global and not address.is_multicast and not _near(match, _VERSION_WORDS)


def _is_ipv6(match: re.Match[str]) -> bool:
    try:
        return ipaddress.IPv6Address(match[0]).is_global
    except ValueError:
        return False


def _mask_email(text: str) -> tuple[str, int]:
    """Look for the domain first: a pattern that begins with the name tries every Latin word."""
    parts: list[str] = []
    done = 0
    for domain in _DOMAIN.finditer(text):
        start = domain.start()
        local = _LOCAL.search(text, max(done, start - _LOCAL_CHARS - 1), start)
        if not local or len(local[0]) > _LOCAL_CHARS or local[0] == "git":
            continue
        first, last = local.start(), domain.end()
        if _NOT_PERSONS.fullmatch(domain[1]) or _USER_INFO.search(
            text, max(done, first - 99), first
        ):
            continue
        if text[first - 1 : first] == "<" and text[last : last + 1] == ">" and first > done:
            first, last = first - 1, last + 1
        parts += text[done:first], "<email>"
        done = last
    return "".join(parts) + text[done:], len(parts) // 2


_MASKS: dict[str, _Masker] = {
    # An address may be made of a number, and a card may hold what looks like a mobile number.
    "email": _mask_email,
    "id_card": _masker("id_card", (_ID_CARD, _is_id_card), (_OLD_ID_CARD, _is_old_id_card)),
    "bank_card": _masker("bank_card", (_CARD, _is_card)),
    "mobile": _masker("mobile", (_MOBILE, lambda match: True)),
    "ip": _masker("ip", (_IPV4, _is_ipv4), (_IPV6, _is_ipv6)),
    "passport": _masker("passport", (_PASSPORT, lambda match: _near(match, _PASSPORT_WORDS))),
}
_ORDER = {kind: place for place, kind in enumerate(_MASKS)}
