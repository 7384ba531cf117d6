"""The phrases of Chinese spam: gambling, pornography, forged papers, loans, lures of traffic.

Counted by density, never as single hits: a statute against gambling, a medical page or a news
report names such things once and moves on, an advertisement strings them together. That is why
plain words (赌博, 毒品, 性病, 贷款) are not in the list, only what their sellers write. Published
pipelines also hold words against a document's size: ChineseWebText drops from one sensitive word
in every two lines on (Chen et al. 2023, https://arxiv.org/abs/2311.01149, section 3.2); lists
that drop at one hit lose law, medicine and news.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

GAMBLING = (
    "百家乐 百家樂 娱乐城 娛樂城 真人娱乐 线上娱乐 网上娱乐 娱乐平台 博彩网 博彩公司 博彩平台 "
    "投注平台 投注网 时时彩 分分彩 六合彩 快三 北京赛车 赛车pk10 赛车PK10 幸运飞艇 老虎机 电子游艺 "
    "棋牌游戏 棋牌平台 真钱 真人荷官 体育投注 彩票平台 彩票计划 注册送 开户送 首存送 充值送 送彩金 "
    "彩金 返水 皇冠网 葡京 新葡京 威尼斯人 金沙娱乐 澳门金沙 太阳城 亚博 开奖直播 特码 一肖 必中"
)
ADULT = (
    "成人电影 成人视频 成人网站 激情视频 激情电影 裸聊 一夜情 约炮 援交 楼凤 全套服务 特殊服务 "
    "上门服务 外围女 学生妹 大胸 黄片 毛片 三级片 无码 有码 中文字幕 高清无 国产自拍 偷拍自拍 "
    "亚洲av 亚洲AV 日韩av 日韩AV 欧美性 色情网 情色 一本道 春药 迷药 催情 壮阳 延时喷剂"
)
PAPERS = (
    "代开发票 代開發票 开发票 代开增值税 增值税发票 发票代开 正规发票 办证 办假证 刻章 代办 "
    "毕业证办理 办理毕业证 文凭办理 学历办理 买文凭 身份证办理 驾驶证办理 包过 代考 替考 代写论文 "
    "论文代写 代发论文"
)
LOANS = (
    "无抵押贷款 无抵押 小额贷款 急用钱 当天放款 当天下款 秒到账 秒下款 黑户 白户 信用卡套现 套现 "
    "花呗套现 信用卡代还 提额 低息 零首付 资金周转"
)
LURES = (
    "加微信 加qq 加QQ 微信号 扫码领取 扫码加 扫一扫 免费领取 点击进入 点击领取 立即注册 马上注册 "
    "立即领取 立即购买 限时抢购 限时优惠 全网最低 最低价 厂家直销 厂家直供 诚招代理 招代理 "
    "招商加盟 加盟热线 咨询热线 服务热线 订购热线 欢迎来电 来电咨询 欢迎咨询 欢迎选购 货到付款 "
    "一条龙服务 网赚 日赚 月入过万 躺赚 刷单 刷信誉 刷流量 兼职日结 私服 传奇私服 外挂 辅助器 "
    "破解版 免费下载 在线观看 哪家好 哪家强 多少钱一 价格多少 专业提供 专业承接 品质保证 质优价廉 "
    "量大从优 包邮 正品 代购 网站优化 排名优化 快速排名 关键词排名"
)

TERMS = tuple(dict.fromkeys(" ".join((GAMBLING, ADULT, PAPERS, LOANS, LURES)).split()))
FIRST_CHARACTERS = "".join(sorted({term[0] for term in TERMS}))
SECOND_CHARACTERS = "".join(sorted({term[1] for term in TERMS}))


def terms_at(text: str, places: Sequence[int]) -> list[str]:
    """The term that begins at each place, the longest of several; none overlap.

    Args:
        text: the document.
        places: where to look, in order.
    """
    found, free, beginnings = [], 0, _by_beginning()
    for place in places:
        for term in beginnings.get(text[place : place + 2], ()):
            if place >= free and text.startswith(term, place):
                found.append(term)
                free = place + len(term)
                break
    return found


@cache
def _by_beginning() -> dict[str, list[str]]:
    """First two characters -> terms, the longest first."""
    table: dict[str, list[str]] = {}
    for term in sorted(TERMS, key=len, reverse=True):
        table.setdefault(term[:2], []).append(term)
    return table
