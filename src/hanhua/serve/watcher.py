"""An engine does not outlive us, however we end: not even by ``kill -9``, which no handler sees.

Its watcher is a shell in a session of its own that reads from a pipe into which nothing is ever
written. The system closes the pipe when we are gone, and then the watcher ends the engine. (Linux
could signal the engine itself, PR_SET_PDEATHSIG, but not what it has started in turn, and already
when the thread ends that started it.)
"""

from __future__ import annotations

import subprocess

GRACE_SECONDS = 10
"""What an engine gets to end what it began, before it is killed."""

_SCRIPT = """
read -r _
kill -TERM "$1"
left=$2
while [ "$left" -gt 0 ] && kill -0 "$1"; do sleep 1; left=$((left - 1)); done
kill -KILL "-$1"
"""


class Watcher:
    """Ends a process and its group when this process has ended.

    Args:
        pid: of a process that leads a group.
        grace_seconds: from SIGTERM to SIGKILL.
    """

    def __init__(self, pid: int, grace_seconds: int = GRACE_SECONDS) -> None:
        argv = ["/bin/sh", "-c", _SCRIPT, "hanhua-watcher", str(pid), str(grace_seconds)]
        quiet = subprocess.DEVNULL
        self._shell = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet,
                                       start_new_session=True)  # fmt: skip

    def close(self) -> None:
        """Watch no more; the process is left as it is."""
        self._shell.kill()  # before the pipe is closed, which would wake it
        self._shell.wait()
        if self._shell.stdin:
            self._shell.stdin.close()
