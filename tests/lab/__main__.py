"""`python -m tests.lab`: the lab for people."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
