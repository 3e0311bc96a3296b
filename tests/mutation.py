"""Random damage to bytes, as disks, downloads and attackers cause it."""

from __future__ import annotations

import random

ABSURD = tuple(n.to_bytes(4, "little") for n in (0, 1, 2**24, 2**29 - 1, 2**31 - 1, 2**31, 2**32 - 1))


def mutate(data: bytes, rng: random.Random, most: int = 4) -> bytes:
    """Return `data` after one to `most` changes: cut, flipped bits, absurd numbers, bytes added, removed or copied."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at, n = rng.randint(0, len(changed)), rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(7):
            case 0:
                del changed[at:]
            case 1:
                for i in range(at, min(at + n, len(changed))):
                    changed[i] ^= 1 << rng.randrange(8)
            case 2 | 3:
                changed[at : at + 4] = rng.choice(ABSURD)
            case 4:
                changed[at:at] = bytes(rng.randrange(256) for _ in range(n))
            case 5:
                del changed[at : at + n]
            case 6:
                start = rng.randint(0, len(changed))
                changed[at:at] = changed[start : start + n]
    return bytes(changed)
