"""reStructuredText to what a reader sees: markup goes, sense stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.readers.restructured import clean_rst

GUIDE = """.. include:: ../disclaimer.rst
.. _guide:

:orphan:
:作者: 小明

内核 |release| 指南
===================

.. |release| replace:: 6.x

使用\\ ``make``\\ 编译。参考 :ref:`变更说明 <changes>`，调用 :func:`~os.path.join`，见 :pep:`8`。
面积是 10\\ :sup:`6`\\ 平方米；`官网 <https://x.y>`_ 与 Python_ 以及 [1]_，foo_bar 和 foo_ 不变。

.. note:: 小心火
   和水。

   - 还有山

.. code-block:: python
   :linenos:

   def f(x):
       return `x`_  # :func:`a`

解包如下::

  tar xvf - :func:`a`

继续。

 - 然后::

     make

   就好了。

.. figure:: a.png
   :alt: 图

   图的标题

.. toctree::

   a
   b

.. function:: open(file)

   打开文件。

   .. versionadded:: 3.5
      增加了 *x*。

.. 注释
   还是注释

.. [1] 脚注 `文 <http://x.y>`__。
.. _Python: https://www.python.org

==== ====
甲   乙
==== ====
1    2
==== ====
"""
GUIDE_TEXT = """:作者: 小明

内核 6.x 指南
===================

使用``make``编译。参考 变更说明，调用 join()，见 PEP 8。
面积是 10^6平方米；官网 与 Python 以及 [1]，foo_bar 和 foo_ 不变。

小心火
和水。

- 还有山

   def f(x):
       return `x`_  # :func:`a`

解包如下:

  tar xvf - :func:`a`

继续。

 - 然后:

     make

   就好了。

图的标题

open(file)

打开文件。

增加了 *x*。

[1] 脚注 文。

==== ====
甲   乙
==== ====
1    2
==== ===="""


def test_a_guide_is_read_as_a_reader_does():
    assert clean_rst(GUIDE) == GUIDE_TEXT
    without = clean_rst(GUIDE, keep_code=False)
    assert "就好了。" in without
    assert "tar" not in without
    assert "def f" not in without


@pytest.mark.parametrize(
    "text",
    ["甲 | 乙 | 丙", "名字_变量 与 a_b_", "时间 12:30:45 和 key: value", "路径 C:/a 与 ``C:\\a``",
     "+---+---+\n| 1 | 2 |\n+---+---+", "- 一\n- 二\n\n  三", "省略号 .. 和 ...", "`默认角色` 不变",
     ":字段: 值\n:另一个: 值", "| 诗行一\n| 诗行二", "2 * 3 * 4"],
)  # fmt: skip
def test_what_is_no_markup_stays(text):
    assert clean_rst(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::\n\n  代码\n\n正文", "  代码\n\n正文"), ("例如：::\n\n  x", "例如：\n\n  x"),
        ("说明 ::\n\n  x", "说明\n\n  x"), (".. math:: a_1 + b\n\n正文", "a_1 + b\n\n正文"),
        (":math:`a_1` 是", "$a_1$ 是"), ("|c| 2020\n\n.. |c| unicode:: U+00A9", "© 2020"),
        (".. warning::\n\n   危险", "危险"),
        (":kbd:`Ctrl+C` 和 :abbr:`甲 (乙)`", "Ctrl+C 和 甲 (乙)"),
        (".. py:class:: Foo(x)\n\n   类。", "Foo(x)\n\n类。"), ("`文`:sup:", "^文"),
        (".. unknown-thing:: 参数\n\n   内容", "参数\n\n内容"), ("__ http://x.y\n\n文", "文"),
        (".. list-table:: 表\n   :widths: 1 2\n\n   * - 甲\n     - 乙", "* - 甲\n  - 乙"),
    ],
)  # fmt: skip
def test_directives_and_roles_give_their_text(text, expected):
    assert clean_rst(text) == expected


@given(st.text("\n .:`_*|[]()<>\\abc山上的\t-", max_size=200))
@settings(deadline=None)
def test_any_text_can_be_cleaned(text):
    clean_rst(text)


WORDS = st.text("山上的市场买白菜和鱼，。abc 123", min_size=1, max_size=12).map(str.strip)


@given(
    st.lists(st.tuples(WORDS.filter(bool), st.sampled_from("plain role link note code".split())))
)
@settings(deadline=None)
def test_words_and_code_stay_and_targets_go(parts):
    forms = {
        "plain": ("前{}", "前{}"), "role": ("前 :doc:`{} </目录/x>` 后", "前 {} 后"),
        "link": ("前 `{} <https://x.y>`__ 后", "前 {} 后"), "note": (".. tip::\n\n   前{}", "前{}"),
        "code": (".. code:: c\n\n   `{} <https://z>`_", "   `{} <https://z>`_"),
    }  # fmt: skip
    found = clean_rst("\n\n".join(forms[kind][0].format(words) for words, kind in parts))
    assert "https://x.y" not in found
    place = 0
    for words, kind in parts:
        shown = forms[kind][1].format(words)
        place = found.index(shown, place) + len(shown)
