"""The seed of what tests leave to chance: printed, and replayed with `SEED=… make chaos`."""

from __future__ import annotations

import os
import random
import secrets


class Chance(random.Random):
    """Chance that can be replayed, as far as processes and their timing let it."""

    def __init__(self) -> None:
        """Begin with `$SEED`, else with a new seed, and print it."""
        given = os.environ.get("SEED")
        self.seed_used = int(given) if given else secrets.randbelow(10**6)
        super().__init__(self.seed_used)
        print(f"seed {self.seed_used}; again with: SEED={self.seed_used} make chaos")
