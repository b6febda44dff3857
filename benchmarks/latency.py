"""How long a server lets requests wait: the same waits for everyone who asks with the same seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import cycle, islice

_CYCLE = 65_536


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of waits. The n-th request after a reset waits the n-th of them.

    Attributes:
        median_ms: half of the waits are longer.
        sigma: of the lognormal distribution; 0: all waits are the median.
        cap_ms: no wait is longer.
        seed: of the waits' order.
    """

    median_ms: float
    sigma: float = 0.0
    cap_ms: float = math.inf
    seed: int = 1

    def waits_s(self) -> list[float]:
        """The waits in seconds, in order; after the last the first comes again."""
        if self.sigma == 0:
            return [self.median_ms / 1000]
        rng, mu = random.Random(self.seed), math.log(self.median_ms)
        return [min(rng.lognormvariate(mu, self.sigma), self.cap_ms) / 1000 for _ in range(_CYCLE)]

    def mean_s(self, requests: int) -> float:
        """The mean of the first waits, in seconds."""
        return math.fsum(islice(cycle(self.waits_s()), requests)) / requests

    def arguments(self) -> list[str]:
        """Itself as the server's options."""
        options = {"median-ms": self.median_ms, "sigma": self.sigma, "cap-ms": self.cap_ms, "seed": self.seed}
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def __str__(self) -> str:
        if self.sigma == 0:
            return f"{self.median_ms:g} ms"
        return f"lognormal, median {self.median_ms:g} ms, sigma {self.sigma:g}, cap {self.cap_ms:g} ms"
