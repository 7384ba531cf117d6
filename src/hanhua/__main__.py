"""``python -m hanhua``: the same as the ``hanhua`` command."""

from hanhua.cli import main

main()
