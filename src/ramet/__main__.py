"""``python -m ramet`` is ``ramet``."""

from .cli import main

main()
