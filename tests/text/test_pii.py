from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.rewrite.pii import PII_KINDS, mask

PLACEHOLDER = re.compile("<(?:" + "|".join(PII_KINDS) + ")>")
PARTS = (*"0123456789@＠.-+:xXE <>中\n\ud800", "13812345678", "a@b.cn", "护照", "8.")
SPICY = st.lists(st.sampled_from(PARTS)).map("".join)
REGIONS = st.sampled_from(["110105", "440524", "310104", "659001", "810000"])


def id_card(region: str, born: date, number: int) -> str:
    """By the standard's own definition: the weighted sum with the check digit is 1 modulo 11."""
    body = f"{region}{born:%Y%m%d}{number:03d}"
    fits = [
        check
        for check in "0123456789X"
        if sum(
            ("0123456789X".index(digit) << place)
            for place, digit in enumerate((body + check)[::-1])
        )
        % 11
        == 1
    ]
    assert len(fits) == 1
    return body + fits[0]


def with_luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


@given(st.one_of(st.text(st.characters()), SPICY))
@settings(max_examples=400, deadline=None)
def test_any_text_once_is_enough_and_counts_are_placeholders(text):
    masked, counts = mask(text)
    assert mask(masked) == (masked, {})
    assert len(PLACEHOLDER.findall(masked)) == len(PLACEHOLDER.findall(text)) + sum(counts.values())
    if not counts:
        assert masked == text


@given(REGIONS, st.dates(date(1900, 1, 1), date(2040, 1, 1)), st.integers(0, 999))
def test_every_true_identity_card_is_found_and_no_other_check_digit(region, born, number):
    card = id_card(region, born, number)
    assert mask(f"身份证号{card}，请核对") == ("身份证号<id_card>，请核对", {"id_card": 1})
    spaced = f"{card[:6]} {card[6:14]} {card[14:]}"
    assert mask(spaced, ["id_card"]) == ("<id_card>", {"id_card": 1})
    for wrong in set("0123456789X") - {card[-1]}:
        assert mask(card[:-1] + wrong, ["id_card"])[1] == {}


@given(st.sampled_from(["622848", "621700", "625912"]), st.integers(0, 10**12 - 1))
def test_union_pay_cards_need_their_luhn_digit(issuer, number):
    card = with_luhn_digit(f"{issuer}{number:012d}")
    in_fours = re.sub("(....)(?=.)", r"\1 ", card)
    assert mask(f"卡{card}。", ["bank_card"])[1] == {"bank_card": 1}
    assert mask(in_fours, ["bank_card"]) == ("<bank_card>", {"bank_card": 1})
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert mask(wrong, ["bank_card"])[1] == {}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("请打13812345678找我", "请打<mobile>找我"),
        ("+86 138-1234-5678，0086 13812345678", "<mobile>，<mobile>"),
        ("138 1234 5678/+8619912345678", "<mobile>/<mobile>"),
        ("邮箱zhang.san+a@163.com谢谢", "邮箱<email>谢谢"),
        ("张三＠不对，zs＠qq.com对", "张三＠不对，<email>对"),
        ("Li Lei <li@pku.edu.cn>, mailto:a_b@x.org", "Li Lei <email>, mailto:<email>"),
        ("13812345678@139.com", "<email>"),
        ("信用卡 4111111111111111", "信用卡 <bank_card>"),
        ("4111 1111 1111 1111", "<bank_card>"),
        ("来自 http://202.96.128.86/a 的请求", "来自 http://<ip>/a 的请求"),
        ("2001:4860:4860::8844 和 240e:1:2:3:4:5:6:7", "<ip> 和 <ip>"),
        ("护照号码：E12345678，旧护照 G87654321", "护照号码：<passport>，旧护照 <passport>"),
        ("US passport no. 487654321", "US passport no. <passport>"),
        ("身份证：110105491231002", "身份证：<id_card>"),
    ],
)
def test_what_is_masked(text, masked):
    found, counts = mask(text)
    assert found == masked
    assert sum(counts.values()) == len(PLACEHOLDER.findall(masked))


@pytest.mark.parametrize(
    "text",
    [
        "订单 12345678901234567X", "110105194913310022", "编号110105491231002", "x13812345678",
        "0.13812345678", "1381234567", "12812345678", "138123456789", "1700000000000",
        "138 1234 5678 9012 3456", "4111111111111111", "4111 1111 1111 1112", "3.1415926535897932",
        "git@github.com:a/b.git", "you@example.com", "getty@tty1.service", "icon@2x.png",
        "pkg@1.2.3", "@张三 你好", "a@b", "192.168.1.1 10.1.2.3 127.0.0.1 172.16.254.1 169.254.1.1",
        "192.0.2.77 198.51.100.99 203.0.113.200 255.255.255.0 224.0.0.251", "1.2.3.4", "8.8.8.8",
        "Longterm 2.6.32.61", "更新8.1.0.153了", "https://name:word@host.com/a",
        "版本 110.2.3.4", "v91.0.4472.124", "1.2.3.4.5", "61.0.0.0/8", "114.114.114.114",
        "256.1.1.77", "fe80::1 ::1 2001:db8::1 fd00::1 2001:db8:1::/48",
        "std::vector 2023:10:12 12:30:45",
        "型号 E12345678", "2019 2020 2021 2022", "2019-2020-2021", "第110105条", "",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text):
    assert mask(text) == (text, {})


def test_only_the_kinds_asked_for():
    text = "13812345678 a@b.cn 202.96.128.86"
    assert mask(text, ()) == (text, {})
    assert mask(text, ["ip"]) == ("13812345678 a@b.cn <ip>", {"ip": 1})
    everything = mask(text, frozenset(PII_KINDS))
    assert everything == ("<mobile> <email> <ip>", {"email": 1, "mobile": 1, "ip": 1})
    with pytest.raises(KeyError, match="fax"):
        mask("13812345678", ["fax"])


def test_masking_one_thing_that_brings_another_near():
    text = "护照" + "，" * 20 + "13812345678 E12345678"
    masked, counts = mask(text)
    assert counts["mobile"] == 1
    assert mask(masked) == (masked, {})


def test_a_placeholder_is_no_word_that_makes_numbers_personal():
    text = "护照 E12345678 和这一页上的很多别的号码没有关系，请见下面的表一：" + "123456789 " * 10
    assert mask(text)[1] == {"passport": 1}
    card = "4111 1111 1111 1111"
    assert mask(f"{card}，{card.replace(' ', '')}")[1] == {"bank_card": 1}
