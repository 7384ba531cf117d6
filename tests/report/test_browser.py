"""The page in a real browser, where there is one: the switches work, the console is silent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from walked import write_run

from hanhua.report.render import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--virtual-time-budget=2000",
)  # fmt: skip
CLICKS = """<script>
const seen = [], root = document.documentElement;
const look = () => seen.push(root.getAttribute("data-show") + "/" + root.lang + "/"
  + root.getAttribute("data-theme") + "/" + document.querySelector("h2").innerText
  + "/" + (document.body.scrollWidth <= window.innerWidth ? "fits" : "too wide"));
look();
document.getElementById("language").click(); look();
document.getElementById("theme").click(); look();
document.getElementById("theme").click(); look();
document.body.setAttribute("data-seen", seen.join("|"));
</script></body>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")


@pytest.mark.parametrize("width", [1120, 500])
def test_switches_work_and_the_console_is_silent(tmp_path: Path, width: int) -> None:
    page = render(write_run(tmp_path))
    clicked = page.with_name("clicked.html")
    clicked.write_text(page.read_text(encoding="utf-8").replace("</body>", CLICKS), "utf-8")
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS, f"--window-size={width},900", f"--user-data-dir={tmp_path}/user",
         "--dump-dom", f"{clicked.as_uri()}#en"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found
    first, switched, themed, back = found[1].split("|")
    assert first == "en/en/null/Bits per byte/fits"
    assert switched == "zh/zh-CN/null/比特/字节/fits"
    themes = {themed.split("/")[2], back.split("/")[2]}
    assert themes == {"dark", "light"}
    assert "CONSOLE" not in done.stderr
