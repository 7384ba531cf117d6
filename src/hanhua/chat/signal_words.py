"""The words and signs by which :mod:`hanhua.chat.signals` tells a poor answer."""

from __future__ import annotations

import re

ASKS_LONG = re.compile(
    r"\b(?:write|compose|create|generate|draft|tell)(?: me)? (?:a|an|the) (?:[\w-]+ ){0,3}?"
    r"(?:story|essay|article|speech|blog post|letter|report|paper)\b|"
    r"(?:写|撰写|创作|编写|生成|起草)(?!了|的|作)[^。，\n]{0,14}(?:文章|作文|故事|小说|散文|论文|演讲稿|博文|一封信|"
    r"报告)",
    re.IGNORECASE,
)
ASKS_PART = re.compile(
    r"title|headline|summar|first|last|one|sentence|topic|slogan|outline|tweet|words?\b|short|"
    r"edit|classif|categor|谁|编辑|归类|分类|改写|顺序|标题|题目|摘要|总结|概括|一句|首句|句子|开头|结尾|主题|主旨|名|字|词|推文|短",
    re.IGNORECASE,
)
SUNG = re.compile(r"song|lyric|rap\b|poem|chant|verse|hymn|歌|诗|词|说唱|童谣", re.IGNORECASE)
LINK = re.compile(r"https?://\S+|www\.\S+")
NOTHING = re.compile(
    r"(?:n/?a|none|null|nan|undefined|no ?output|<no ?(?:output|input)>|无|空|暂无|略|无输出|"
    r"无内容|没有输出)",
    re.IGNORECASE,
)
LEFTOVER = re.compile(
    r"<no ?(?:input|output)>|###? ?(?:Instruction|Input|Response|Human|Assistant|指令|输入|输出|"
    r"回答)\b ?[:：]?|\[/?INST\]|<</?SYS>>|<\|(?:im_start|im_end|endoftext|user|assistant)[^|]*\|>|"
    r"^(?:Human|Assistant|User|USER|ASSISTANT|Output|Response|Instruction) ?[:：]|"
    r"^(?:输出|回答|答案|响应|用户|助手|指令) ?[:：]|</s>",
    re.MULTILINE,
)
AS_AI = re.compile(
    r"\b(?:as an? (?:large )?(?:AI|artificial intelligence|language)\b[^.\n]{0,40}?(?:model|"
    r"assistant|AI)?|I(?:'m| am) (?:just )?an? (?:AI|artificial intelligence|(?:large )?language "
    r"model))|作为(?:一[个名种款位])?(?:AI|人工智能|大?型?语言模型|计算机程序|机器人|智能助)|"
    r"我(?:只)?是(?:一[个名种款位])?(?:AI|人工智能|大?型?语言模型|计算机程序)",
    re.IGNORECASE,
)
REFUSES = re.compile(
    r"\s*(?:(?:I(?:'m| am) )?(?:very )?sorry,? (?:but )?(?:as|I (?:can(?:no|')t|am (?:not able|"
    r"unable)|do(?:n't| not) (?:have|know|understand)))|(?:I )?(?:can(?:no|')t|am unable to|am not "
    r"able to) (?:help|assist|answer|provide|complete|process|generate)|Unfortunately,? I (?:can|"
    r"am )|(?:很|非常)?(?:抱歉|对不起)[，,]?(?:但|不过|由于|因为|作为)?[^。\n]{0,12}"
    r"(?:我|无法|不能|没有)|"
    r"(?:我|这里)?(?:无法|不能)(?:回答|提供|完成|处理|执行|生成|为您|为你|识别|访问|播放|直接))",
    re.IGNORECASE,
)
OTHER_LANGUAGE = re.compile(
    r"translat|翻译|译[成为]|\b(?:english|chinese|mandarin|japanese|french|spanish|german|italian|"
    r"latin|russian|korean|portuguese|language)\b|[英中日法德俄韩汉]文|[英汉日法德俄韩]语|双语|外语|"
    r"西班牙|意大利|拼音|缩写|单词|词汇|字母|代码|程序|编[写程]|函数|算法|公式|命令|正则|网址|链接|"
    r"SQL|HTML|CSS|Python|Java|JSON|\bcode\b|C\+\+|\bAPI\b|"
    r"标题|名[字称]|歌|电影|书籍|品牌|公司|网站",
    re.IGNORECASE,
)
CODE = re.compile(
    r"```|~~~|<(?:form|html|!DOCTYPE|input|button|script)\b|"
    r"^\s*(?:def |class |import |from \w+ import|#include|public |private |"
    r"function |var |let |const |SELECT |INSERT |UPDATE |CREATE |print\(|if ?\(|for ?\(|"
    r"while ?\(|return\b|\$ )|"
    r"[;{}]\s*$|\w+\([^)]*\);|=>|&&|::|\\(?:frac|begin|sum|int|sqrt)|\blatex\b",
    re.MULTILINE | re.IGNORECASE,
)
CODE_ASKED = re.compile(
    r"code|program|script|function|algorithm|html|css|sql|python|java|regex|regular expression|"
    r"json|xml|query|markup|web ?page|website|markdown|latex|ascii|emoji|equation|formula|"
    r"expression|calculat|chess|sudoku|pattern|代码|程序|脚本|函数|算法|编程|编写|正则|查询|网页|网站|标签|表情|颜文字|"
    r"公式|方程|计算|表达式|表格|图表|求|解",
    re.IGNORECASE,
)
TAG = re.compile(
    r"</?(?:br|p|div|span|font|b|i|u|li|ul|ol|td|tr|h[1-6]|a|img|strong|em|audio)\b[^<>]{0,200}>",
    re.IGNORECASE,
)
ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{2,5});")
MOJIBAKE = re.compile(
    r"Ã[\x80-\xbf©¨ª«¬®¯°±²³´µ¶·¸¹º»¼½¾¿]|â€[™œ\x9d“”˜¦\x80-\x9f]|Â[\xa0°£©®»«·]|ï»¿|锟斤拷|烫烫烫|"
    r"屯屯屯|\\u[0-9a-fA-F]{4}\\u[0-9a-fA-F]{4}|[\ue000-\uf8ff]",
)
SENTENCE_END = "。！？!?.…”’\"'）)】]』」》>~～；;：:`*_|}%"
LIST_LINE = re.compile(
    r"\s*(?:[-*•·–—+>|#]|\(?\d{1,3}[.、)）:：]|[a-zA-Z][.)]|[一二三四五六七八九十]+、|https?:)"
)
OPEN_END = re.compile(
    r"(?:[,，、(（“‘—]|(?<![A-Za-z])(?:and|or|the|a|an|of|to|in|on|with|for|that|which|is|are|was|by|as|"
    r"from|because|but|not|at|this|their|its|your)|[和与或的而但且])$",
)
LAST_WORDS = re.compile(r"https?://\S+$|[”\"』」。.!?！？]\s*[-–—~]+\s*[^。.!?！？]{1,40}$")
"""A link, or who said what is quoted."""
SENTENCES = re.compile(r"[。！？!?]|\.(?=\s|$)")
SHOWS_TALK = re.compile(
    r"input|output|prompt|task|dialog|conversation|chat|bot\b|interview|script|quiz|q&a|answer|"
    r"输入|输出|提示|任务|对话|聊天|机器人|采访|剧本|测验|问答|问题|答案|示例|例子|翻译",
    re.IGNORECASE,
)
LATIN = re.compile(r"[A-Za-zÀ-ž]{2,}")
ENGLISH = re.compile(
    r"\b(?:the|is|are|was|were|of|and|to|in|that|for|with|it|you|can|this|have|has)\b",
    re.IGNORECASE,
)
SPARE = re.compile(r"[\s\w.,;:!?'\"()\-/%$&，。、；：！？“”‘’（）《》【】「」—…·~]")
WORDS = re.compile(r"[a-z0-9']+|[^\W\d_a-z]", re.IGNORECASE)
