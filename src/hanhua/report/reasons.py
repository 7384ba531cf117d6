"""Why records were dropped, in both languages of the page."""

from __future__ import annotations

from collections.abc import Mapping

from hanhua.report.html import Words

_DOCUMENTS: Mapping[str, Words] = {
    "duplicate": Words("duplicate", "重复"),
    "near_duplicate": Words("near duplicate", "近似重复"),
    "held_out_copy": Words("held-out copy", "与留出重复"),
    "repeated_lines": Words("repeated lines", "行多处重复"),
    "repeated_passage": Words("repeated passage", "段落多处重复"),
    "contamination": Words("test questions", "含评测题"),
    "language": Words("other language", "语言不符"),
    "too_short": Words("too short", "太短"),
    "low_score": Words("low score", "评分过低"),
    "empty": Words("empty", "空"),
    "no_text": Words("no text", "无文本"),
}
_RULES: Mapping[str, Words] = {
    "mojibake": Words("mojibake", "乱码"),
    "symbols": Words("symbols", "符号过多"),
    "digits": Words("figures", "数字过多"),
    "duplicate_lines": Words("same lines", "重复行过多"),
    "duplicate_paragraphs": Words("same paragraphs", "重复段过多"),
    "placeholder": Words("placeholders", "占位文字"),
    "markup": Words("tags", "标签过多"),
    "code": Words("code", "代码符号过多"),
    "long_tokens": Words("long strings", "超长字串"),
    "function_words": Words("no sentences", "不成句"),
    "rare_han": Words("rare characters", "生僻字过多"),
    "advertising": Words("advertising", "广告"),
    "top_pair": Words("pair repeats", "二元组重复"),
    "top_quad": Words("4-gram repeats", "四元组重复"),
    "repeated_grams": Words("passages repeat", "片段重复"),
    "unbroken": Words("no pauses", "长段无停顿"),
    "punctuation": Words("few marks", "标点过少"),
    "stretches": Words("stretches short", "语段过短"),
    "line_ends": Words("lines unended", "行末少标点"),
    "short_lines": Words("short lines", "短行过多"),
    "bullets": Words("bullets", "列表行过多"),
    "ellipses": Words("ellipses", "省略号过多"),
    "newlines": Words("line breaks", "换行过多"),
    "line_length": Words("lines too short", "平均行太短"),
    "long_line": Words("line too long", "行太长"),
    "short_words": Words("words too short", "平均词太短"),
    "long_words": Words("words too long", "平均词太长"),
    "no_letters": Words("few letters", "少有字母"),
}
_UNREADABLE: Mapping[str, Words] = {
    "no_text_field": Words("no text field", "无正文字段"),
    "text_is_not_a_string": Words("text no string", "正文非字符串"),
    "wrong_number_of_fields": Words("wrong columns", "列数不对"),
    "broken_row": Words("broken row", "行损坏"),
    "broken_row_group": Words("broken row group", "行组损坏"),
    "broken_json": Words("broken JSON", "JSON 损坏"),
    "broken_encoding": Words("broken encoding", "编码损坏"),
    "trailing_garbage": Words("bytes at end", "末尾多余字节"),
    "damaged_record": Words("damaged record", "记录损坏"),
    "page_too_large": Words("page too large", "网页过大"),
    "unknown_packing": Words("unknown packing", "压缩方式不明"),
    "not_an_object": Words("not an object", "不是对象"),
}
_CONVERSATIONS: Mapping[str, Words] = {
    "no_turns": Words("no turns", "没有对话"),
    "empty_text": Words("empty text", "内容为空"),
    "missing_answer": Words("missing answer", "缺少回答"),
    "role_order": Words("order of roles", "角色次序错乱"),
    "broken_text": Words("broken text", "文字损坏"),
    "broken_template": Words("broken template", "模板残缺"),
    "wrong_fields": Words("wrong fields", "字段不对"),
    "unknown_role": Words("unknown role", "未知角色"),
    "tool_calls": Words("tool calls", "调用工具"),
    "not_liked": Words("not liked", "答案被标为不好"),
    "harmless": Words("harmless question", "无害问题"),
    "other_split": Words("other split", "其他划分"),
    "over_limit": Words("over the limit", "超出所取数量"),
    "share": Words("share", "超出占比"),
    "identity": Words("other identity", "自称其他模型"),
    "name_blank": Words("blank for a name", "名字空缺"),
    "too_long": Words("too long", "太长"),
    "too_few_turns": Words("too few turns", "轮数太少"),
    "near_copy": Words("near copy", "近似重复"),
    "identical_answers": Words("identical answers", "答案相同"),
    "prompts_differ": Words("questions differ", "问题不同"),
    "no_prompt": Words("no question", "没有问题"),
    "contradiction": Words("contradiction", "与前面相反"),
}
_QUALITY: Mapping[str, Words] = {
    "no_answer": Words("no answer", "以“无”代答"),
    "repeats_question": Words("repeats the question", "重复问题"),
    "prompt_leftover": Words("template left over", "模板残留"),
    "wrong_language": Words("wrong language", "语言不对"),
    "repetition": Words("repetition", "自我重复"),
    "junk": Words("junk", "网页残留或乱码"),
    "symbols": Words("symbols", "符号过多"),
    "boilerplate": Words("boilerplate", "套话"),
    "truncated": Words("cut off", "截断"),
    "too_short": Words("too short", "太短"),
    "escaped": Words("escaped", "未还原的转义"),
}
REASONS: Mapping[str, Words] = {
    **_DOCUMENTS, **_RULES, **_UNREADABLE, **_CONVERSATIONS,
    **{f"quality_{name}": Words(f"quality: {words.en}", f"质量：{words.zh}")
       for name, words in _QUALITY.items()},
}  # fmt: skip
"""Short, since the waterfall has a narrow column for them."""


def reason(name: str) -> Words:
    """A reason to drop, in both languages; one that is not known here as it is written."""
    return REASONS.get(name, Words(name.replace("_", " "), name.replace("_", " ")))
