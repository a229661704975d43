"""`python -m dibs`: the command line, also where its script is not on the path."""

from __future__ import annotations

from dibs.cli import main

if __name__ == "__main__":
    main()
