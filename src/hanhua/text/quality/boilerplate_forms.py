"""How lines of boilerplate begin and go on, Chinese and English, kind by kind.

A form is a list of beginnings and a pattern for all that follows: a line is boilerplate when it is
one from its first to its last character, so a sentence that mentions a log-in or a copyright
stays. Headings that articles use too (相关链接, 延伸阅读, Table of contents) are left out on
purpose. Lines are compared in lower case, without marks and brackets around them. Repeated groups
are possessive (``*+``): a line of a hundred shares or log-ins that is no match fails at once.
"""

from __future__ import annotations

from typing import TypeAlias

Forms: TypeAlias = dict[str, tuple[tuple[str, str], ...]]
"""Kind -> beginnings, separated by ``|``, and the pattern of the rest."""

_T = "[^。！？!?；;]"
_COUNTED = "阅读|浏览|点击|评论|点赞|赞|收藏|转发|分享|人气|回复|顶|踩|访问|喜欢"
_NUMBER = r"(?>(?:数|量|次数)?\s*[:：]?\s*[\(（\[]?\d+[\)）\]]?(?:\s*(?:次|人|条|个))?)"
_PLACES = (
    "微信|微博|新浪微博|腾讯微博|朋友圈|好友|qq空间|qq好友|qq|人人网|豆瓣|更多|facebook|twitter|"
    "linkedin"
)
_ICP = "|".join(
    f"{place}icp|{place} icp"
    for place in "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
)

_PAGE = r"\s*页(?=.{0,60}(?:上一页|下一页|尾页)).{0,80}"

ZH: Forms = {
    "navigation": (
        ("上一篇|下一篇|上一页|下一页|上一章|下一章|上一条|下一条|上一节|下一节|上一则|下一则|"
         "上一主题|下一主题|前一篇|后一篇|前一页|后一页",
         rf"(?:文章|新闻|日志)?(?:\s*[:：]{_T}{{0,80}})?"
         rf"(?:[\s|｜/]++(?:上|下|前|后)一(?:篇|页|章|条|节)(?>\s*[:：]{_T}{{0,80}})?+)*+"),
        ("返回顶部|返回首页|返回目录|返回列表|返回上一页|返回上页|返回主页|回到顶部|回到首页|"
         "回到目录|回顶部|回首页|转到首页", r"[\s|｜/]*(?:关闭|打印)?(?:本页|窗口)?"),
        ("您的位置|您现在的位置|您当前的位置|您所在的位置|您所在位置|你的位置|你现在的位置|"
         "当前位置|现在位置", rf"(?:是|为)?\s*[:：]{_T}{{0,90}}"),
        ("首页|主页|网站首页", rf"\s*[>»›→/|｜＞·]{_T}{{1,90}}"),
        ("跳转到|跳到|跳至|跳过|跳转至", "(?:主要)?(?:内容|正文|导航)"),
        ("打印本页|打印此页|打印本文|关闭窗口|关闭本页|收藏本页|加入收藏|设为首页",
         r"(?:[:：\s|｜/\[\]【】]*(?:打印|收藏|关闭|推荐|窗口|本页|此页|设为首页))*+"),
        ("字体|字号", r"(?:[:：\s|｜/\[\]【】]+[大中小]){2,}[】\]]?"),
        ("共 |第 ", rf"\s*\d+{_PAGE}"),
        ("|".join(f"{word}{digit}" for word in "共第" for digit in "0123456789"), rf"\d*{_PAGE}"),
    ),
    "share": (
        ("分享到|分享至|一键分享|分享：|分享:",
         rf"\s*[:：]?(?:[\s|｜/、,，]*+(?:{_PLACES}))*+[:：]?"),
        ("扫一扫|扫码|微信扫|扫描二维码|扫描下方|扫描上方|长按",
         rf"{_T}{{0,8}}(?:关注|识别|二维码|分享|下载|添加){_T}{{0,30}}[。！!]?"),
        ("关注我们|关注公众号|关注微信|欢迎关注|请关注|关注本站", rf"{_T}{{0,50}}[。！!]?"),
        (_COUNTED, rf"{_NUMBER}(?:[\s|｜/·]*+(?:{_COUNTED}){_NUMBER}?+)*+"),
        (_COUNTED, rf"(?:[\s|｜/·]++(?:{_COUNTED}){_NUMBER}?+)++"),
    ),
    "copyright": (
        ("版权所有|copyright|©", rf"{_T}{{0,110}}[。.]?"),
        (_ICP, rf"\s?[备证]{_T}{{0,60}}"),
        ("京公网安备|网站备案|备案号", rf"{_T}{{0,60}}"),
        ("本文|本站|本网|文章|作品|未经|非经|凡本|版权",
         r"(?=[^。]{0,40}转载)[^。]{0,24}(?:不得|禁止|严禁|请勿|注明|须)[^。]{0,60}[。！]?"),
        ("转载请|转载须|转载需|如需转载|转载自", rf"{_T}{{0,80}}[。！]?"),
        ("免责声明|版权声明|特别声明|声明",
         r"\s*[:：].{0,20}(?:本文|本站|本网|本平台|转载|作者).{0,90}"),
        ("如有侵权|如涉侵权|若有侵权|如侵权|侵权", rf"{_T}{{0,30}}(?:删除|联系|"
                                  rf"处理){_T}{{0,30}}[。！]?"),
    ),
    "credit": (
        ("责任编辑|本文编辑|责编|网络编辑|选题|译者|校对|审校|本文作者",
         rf"\s*[:：]{_T}{{0,50}}"),
        ("编辑|审核|监制|排版|编译|文编", rf"\s*[:：]\s*{_T}{{0,12}}"),
        ("来源|文章来源|信息来源|图片来源|稿件来源|新闻来源|内容来源|本文来源|稿源",
         rf"\s*[:：]{_T}{{0,40}}"),
        ("本文来自|本文转自|本文转载自|本文选自|本文首发于|文章来自|"
         "文章转自", rf"{_T}{{1,60}}[。]?"),
        ("本文由", rf"{_T}{{1,40}}(?:翻译|推出|发布|授权|整理|供稿|投稿|提供)[。！]?"),
        ("原文链接|本文链接|文章链接|永久链接|原文地址|本文地址|本文网址|本页链接|via",
         r"\s*[:：]\s*\S.{0,110}"),
    ),
    "more": (
        ("阅读全文|查看全文|阅读更多|查看更多|浏览更多|点击查看|点击阅读|展开全文|显示全部|"
         "查看详情|加载更多|阅读原文|查看原文|更多内容|更多精彩|更多文章|更多新闻|更多资讯",
         r"(?:全文|更多|原文|详情|全部|内容|评论|文章|精彩)*[\s>»›→….．]*"),
        ("猜你喜欢|大家都在看|热门推荐|相关推荐|相关新闻|热门文章|热门新闻|热门标签|最新文章|"
         "最新评论|精彩推荐|编辑推荐|随机推荐|网友评论|发表评论|我要评论|相关搜索|热门搜索|"
         "今日推荐|点击排行|阅读排行|排行榜|友情链接", r"\s*[:：]?"),
    ),
    "account": (
        ("请登录|请先登录|请登陆|登录后|登陆后|您需要登录|你需要登录|需要登录|登录即可",
         rf"(?:后|才能?|可以?|即可|再|以|，|,|\s)*+(?:发表)?(?:评论|回复|发言|发帖|"
         rf"收藏){_T}{{0,12}}[。！]?"),
        ("还没有账号|没有账号|还没有帐号|没有帐号|还没有账户", rf"{_T}{{0,20}}[。？?]?"),
        ("请启用|请开启|请打开|请允许|需要启用", rf"{_T}{{0,12}}(?:javascript|"
                                 rf"cookie){_T}{{0,40}}[。！]?"),
        ("您的浏览器|你的浏览器|当前浏览器|您使用的浏览器",
         rf"(?:不支持|版本过低|版本太低|已?禁用){_T}{{0,60}}[。！]?"),
        ("本网站使用|本站使用|我们使用|网站使用|本网站会使用", r"\s?cookie.{0,100}"),
    ),
}  # fmt: skip

_SITES = "(?:facebook|twitter|linkedin|pinterest|instagram|youtube|whatsapp|reddit|email|tumblr|x)"
_USER = (
    "log in|login|log out|logout|sign in|sign up|sign out|register|my account|create account|"
    "create an account|my cart|forgot password|forgot your password|remember me|subscribe"
)

EN: Forms = {
    "navigation": (
        ("skip to content|skip to main content|skip to navigation|skip to the content|"
         "skip navigation|toggle navigation|main menu|close menu|open menu|breadcrumb", "s?"),
        ("previous|prev|next|older|newer",
         r"(?: (?:posts?|page|article|entry|entries|story|chapter|topic|comments))?"
         r"\s*(?:[»→>›]|[:|].{0,60})?"),
        ("back to|return to|go to|jump to",
         " (?:the )?(?:top|home(?: ?page)?|list|main page|previous page|index)(?: of (?:the "
         ")?page)?"),
        ("home", r"\s*[>»›/|]\s*\S.{0,80}"),
        ("you are here", r"\s*:.{0,80}"),
        ("page", r" \d+ of \d+"),
    ),
    "share": (
        ("share|tweet|pin",
         rf"(?: (?:this|it|on|with|via|to))*(?: (?:post|article|page|story|friends|your friends))?"
         rf"(?:[ :|,]*+(?:on )?{_SITES})*+\s*[:!]?"),
        ("click to share|click to print|click to email|click to tweet", ".{0,70}"),
        ("follow us|like us|find us|join us", "(?: on.{0,40})?[:.!]?"),
        ("facebook|twitter|linkedin|pinterest|instagram|youtube|whatsapp|reddit",
         rf"(?:[ |,/·]++{_SITES})++"),
        ("0|1|2|3|4|5|6|7|8|9", r"[\d,]* (?:shares?|comments?|likes?|views|retweets|replies)"),
    ),
    "copyright": (
        ("copyright|©|(c)|c)|&copy;", r"\s*(?:©|\(c\)|&copy;)?\s*(?:\d{4}|by\b).{0,100}"),
        ("powered by",
         " (?:wordpress|drupal|blogger|joomla|discuz|vbulletin|phpbb|shopify|squarespace|"
         "wix).{0,40}"),
    ),
    "credit": (
        ("posted by|posted on|posted in|posted at", r"\b[^.!?]{1,70}"),
        ("filed under|tagged|tagged with|tagged as|tags|categories|category", r"\s*:[^.!?]{1,80}"),
        ("last updated|last modified|last edited", r"(?: on| by| at)?\s*:?[^.!?]{1,50}"),
        ("photo credit|image credit|photo courtesy|image courtesy|photo by|picture credit",
         r"s?\s*:?[^.!?]{1,60}"),
    ),
    "more": (
        ("read more|read the full|learn more|see more|view more|show more|load more|find out more|"
         "continue reading|see all|view all|show all|read the rest",
         r"(?: (?:article|story|post|review|about this|here|posts|comments))?\W{0,4}"),
        ("read more|continue reading", r"\s*[:→»>…].{0,80}"),
        ("click here", r"(?: (?:to|for) .{1,60})?[.!]?"),
        ("you may also like|you might also like|you may also be interested in|related posts|"
         "related post|related articles|related stories|related content|related news|"
         "recommended for you|popular posts|recent posts|latest posts|featured posts|"
         "recent comments|latest news|trending now|most read|most popular|most viewed|"
         "most shared", r"\s*[:.]?"),
        ("advertisement", "s?"),
    ),
    "account": (
        ("log in|login|sign in|sign up|register|please log in|please login|please sign in|"
         "please register",
         "(?: or (?:register|sign up|create an account|log ?in|sign in))? to "
         "(?:post|comment|reply|leave|add a|vote|follow|join|continue reading|read more).{0,50}"),
        ("you must be logged in|you need to be logged in|not logged in", ".{0,60}"),
        (_USER, rf"(?: now| today)?\??(?:\s*+(?:[|/·•,]\s*+)?(?:or )?(?:{_USER}|help|"
                rf"search)\??)*+[!.]?"),
        ("subscribe|sign up", r".{0,40}\be-?mail(?: address)?\b.{0,60}"),
        ("subscribe to our|subscribe to the|sign up for our|sign up for the|join our",
         ".{0,30}(?:newsletter|mailing list|updates|feed|channel|blog).{0,40}"),
        ("we use cookies|this site uses cookies|this website uses cookies|our website uses cookies|"
         "our site uses cookies|we and our partners use cookies", ".{0,100}"),
        ("by continuing|by using|by clicking|by browsing", ".{0,80}cookies.{0,40}"),
        ("accept|reject|manage|decline", "(?: all)? cookies"),
        ("cookie", " (?:policy|settings|notice|preferences)"),
        ("please enable|you need to enable|you must enable|please turn on|this site requires|"
         "this page requires|this website requires|enable", " java ?script.{0,80}"),
        ("javascript", " (?:is|must be|has been|needs to be) .{0,20}(?:enabled|disabled|"
                       "required).{0,50}"),
        ("your browser", " (?:does not|doesn.t) support.{0,60}"),
        ("leave a reply|leave a comment|post comment|post a comment|cancel reply|add comment|"
         "add a comment", "(?: cancel reply)?"),
        ("your email|your e-mail", " (?:address )?will not be published.{0,60}"),
        ("required fields are marked", ".{0,10}"),
    ),
}  # fmt: skip

STRONG = frozenset(
    "首页 主页 网站首页 返回首页 登录 登陆 注册 免费注册 立即注册 立即登录 退出 个人中心 会员中心 "
    "用户中心 忘记密码 我的账户 购物车 联系我们 关于我们 关于本站 网站地图 加入我们 诚聘英才 "
    "友情链接 帮助中心 客服中心 在线客服 意见反馈 网站导航 加入收藏 设为首页 收藏本站 免责声明 "
    "隐私政策 隐私声明 服务条款 法律声明 版权声明 广告服务 广告合作 商务合作 投稿 手机版 "
    "手机客户端 app下载 返回顶部 上一页 下一页 上一篇 下一篇 尾页 末页 搜索 站内搜索 高级搜索 更多 "
    "查看更多 分享 收藏 评论 打印 关闭 首頁 登入 註冊 聯絡我們 關於我們 網站地圖 會員中心 購物車 "
    "隱私權政策 搜尋 回首頁".split()
) | frozenset(
    "home|login|log in|log out|sign in|sign up|sign out|register|my account|account|cart|my cart|"
    "checkout|wishlist|contact|contact us|about|about us|sitemap|site map|privacy|privacy policy|"
    "terms|terms of use|terms of service|terms and conditions|cookie policy|faq|faqs|help|search|"
    "menu|subscribe|newsletter|careers|jobs|advertise|advertise with us|press|feedback|support|"
    "skip to content|next|previous|back to top|rss|facebook|twitter|instagram|linkedin|youtube|"
    "pinterest|share|tweet|print|email".split("|")
)  # fmt: skip
"""What only menus and footers say in a line of its own."""

WEAK = frozenset(
    "新闻 要闻 国内 国际 时政 社会 军事 体育 财经 股票 基金 娱乐 明星 科技 数码 手机 汽车 房产 "
    "家居 教育 健康 旅游 女性 时尚 育儿 文化 读书 历史 视频 图片 专题 论坛 博客 微博 微信 游戏 "
    "直播 下载 产品中心 产品 产品展示 解决方案 新闻中心 新闻动态 公司新闻 行业动态 公司简介 "
    "企业文化 资质荣誉 成功案例 客户案例 技术支持 服务支持 人才招聘 招聘 合作伙伴 在线留言 留言板 "
    "资料下载 下载中心 常见问题 地方 生活 美食 星座 动漫 音乐 电影 电视 彩票 法治 公益 环保 农业 "
    "能源 食品 艺术 原创 滚动 排行 热点 推荐 排行榜 热门推荐 最新文章 rss订阅 客户端".split()
) | frozenset(
    "news|world|politics|business|sports|sport|entertainment|technology|tech|science|health|"
    "opinion|travel|style|culture|arts|video|videos|photos|photo|blog|forum|forums|shop|store|"
    "products|services|solutions|resources|downloads|download|events|gallery|portfolio|team|"
    "our team|pricing|features|documentation|docs|community|company|partners|media|archive|"
    "archives|categories|tags|lifestyle|money|weather|food|music|movies|books|games|local|"
    "more".split("|")
)  # fmt: skip
"""What menus say, and titles too: counts beside strong entries only."""
