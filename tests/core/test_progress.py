"""What a bar says of rate and time left."""

from __future__ import annotations

import io
import re
import time

from hanhua.core.progress import Lines


def test_what_an_earlier_go_did_is_counted_but_not_in_the_rate():
    out = io.StringIO()
    with Lines(out, every_s=0.0).bar("training", 2000, "tok", done=1000) as bar:
        time.sleep(0.05)
        bar.advance(10)
    line = out.getvalue().splitlines()[0]
    assert "1010 of 2000 tok" in line
    rate = float(re.search(r", ([\d.]+) tok/s", line)[1])
    assert 0 < rate <= 10 / 0.05
