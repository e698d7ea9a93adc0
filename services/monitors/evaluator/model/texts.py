"""Texts as the numbers that stand for them, so that texts are compared like everything else."""

from hashlib import blake2b

CODE_BITS = 52
"""Every whole number of so many bits is a double."""


def code_of(text: str) -> float:
    """The number that stands for a text, the same everywhere and always: whole, positive, less than 2 ** 52.

    It is a hash: that two different texts have the same one is as likely as a guess of 52 bits.
    """
    bits = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 64 - CODE_BITS
    return float(bits or 1)
