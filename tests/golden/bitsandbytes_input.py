"""The inputs of the goldens of the kernels: tests/kernels/golden.h makes the same in C++."""
import numpy as np


def hash64(seed, n):
    """SplitMix64 of seed + i."""
    with np.errstate(over="ignore"):
        z = (np.arange(n, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def normal(seed, n):
    """Nearly N(0, 1): the sum of the hash's four 16-bit parts, centred and scaled, by one fp32 division."""
    h = hash64(seed, n)
    total = sum(((h >> np.uint64(s)) & np.uint64(0xFFFF)).astype(np.int64) for s in (0, 16, 32, 48))
    return (total - 131070).astype(np.float32) / np.float32(37837)
