"""A seeded order of any number of things, without holding it: place in, thing out.

A shuffled list of rows or documents takes memory and time to make, at every resume. Here the
order is computed where it is needed: a Feistel network is a bijection whatever its round
function is (Luby and Rackoff, https://doi.org/10.1137/0217022), and numbers that fall outside the
range walk on along their cycle until they fall inside, which makes it a bijection of the range
(Black and Rogaway, https://doi.org/10.1007/3-540-45760-7_9). The round function is MurmurHash3's
64-bit finaliser. A good shuffle, no secret.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 8
CHUNK = 1 << 20
FEW = 1024
"""So few things are shuffled as a list: small networks don't reach all orders alike."""


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one draw never shifts another."""
    words = [zlib.crc32(n.encode()) if isinstance(n, str) else n for n in names]
    return np.random.default_rng([seed, *words])


def scramble(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's ``fmix64``: each bit of a number changes about half the bits of the result."""
    x = numbers ^ (numbers >> np.uint64(33))
    x = x * np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CEB9FE1A85EC53)
    x ^= x >> np.uint64(33)
    return x


@dataclass(frozen=True, slots=True)
class Permutation:
    """A bijection of ``range(n)``; make it with :meth:`seeded`.

    Args:
        n: how many things.
        listed: the order itself, where there are few things; else empty.
        bits: of the numbers that the network permutes; less than twice as many numbers as things.
        keys: one for each round.
    """

    n: int
    listed: npt.NDArray[np.int64]
    bits: int
    keys: tuple[int, ...]

    @classmethod
    def seeded(cls, n: int, seed: int, *names: str | int) -> Permutation:
        """The order of n things that belongs to a seed and a purpose."""
        draw = rng(seed, *names)
        listed = draw.permutation(n if n <= FEW else 0)
        keys = draw.integers(1 << 64, size=ROUNDS, dtype=np.uint64)
        return cls(n, listed, (n - 1).bit_length(), tuple(int(key) for key in keys))

    def __call__(self, places: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The things at some places: ``[k]`` in ``range(n)`` to ``[k]`` in ``range(n)``."""
        if len(self.listed):
            return np.asarray(self.listed[places])
        found = self._rounds(np.asarray(places).astype(np.uint64))
        walking = np.flatnonzero(found >= self.n)
        while len(walking):
            walked = self._rounds(found[walking])
            found[walking] = walked
            walking = walking[walked >= self.n]
        return found.view(np.int64)

    def all(self) -> npt.NDArray[Any]:
        """The things at all places, in the smallest type that holds them."""
        found = np.empty(self.n, np.min_scalar_type(self.n))
        for start in range(0, self.n, CHUNK):
            stop = min(start + CHUNK, self.n)
            found[start:stop] = self(np.arange(start, stop))
        return found

    def _rounds(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Two parts of about as many bits; each round changes one by a function of the other."""
        low = np.uint64(self.bits // 2)
        masks = np.uint64((1 << int(low)) - 1), np.uint64((1 << (self.bits - int(low))) - 1)
        parts = [numbers & masks[0], numbers >> low]
        for i, key in enumerate(self.keys):
            parts[i % 2] ^= scramble(parts[1 - i % 2] ^ np.uint64(key)) & masks[i % 2]
        return (parts[1] << low) | parts[0]
