"""``python -m ramet`` is ``ramet``."""

from .cli import main

if __name__ == "__main__":
    main()
