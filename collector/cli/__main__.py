"""``python -m collector.cli``: the ``tonnage`` command."""

from collector.cli.main import main

main()
