"""Numbers for names, so that everything else about a million rules or monitors can be columns."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Columns, Layout, Places
from monitors.evaluator.model.series import Int32s, Int64s

NONE = -1
_LEAST_SLOTS = 64
_HASH_MASK = 0xFFFF_FFFF


class _Entries(Columns):
    tenant: Int32s
    """NONE for a number that isn't used."""
    start: Int64s
    length: Int32s
    """The bytes of the name in the text."""
    hash: NDArray[np.uint32]

    LAYOUT: ClassVar[Layout] = {
        "tenant": (np.int32, NONE),
        "start": (np.int64, 0),
        "length": (np.int32, 0),
        "hash": (np.uint32, 0),
    }


class Identities:
    """Names of tenants' things ↔ dense numbers from 0. A removed name's number is given again.

    The names are bytes of one text, and a hash table of numbers finds them (open addressing, the next slot after a
    taken one), since two strings, two integers and a place in a dict take four times the memory.
    """

    def __init__(self) -> None:
        self._entries = _Entries()
        self._text = bytearray()
        self._dead_bytes = 0
        self._size = 0
        self._free: list[int] = []
        self._slots: Int32s = np.full(_LEAST_SLOTS, NONE, dtype=np.int32)
        self._tenants: list[str] = []
        self._tenant_numbers: dict[str, int] = {}

    def find(self, tenant: str, name: str) -> int | None:
        """The number of a name, None if it has none."""
        slots, hashes = self._slots, self._entries.hash
        code = hash((tenant, name)) & _HASH_MASK
        slot = code & (len(slots) - 1)
        while (number := int(slots[slot])) != NONE:
            if hashes[number] == code and self[number] == (tenant, name):
                return number
            slot = (slot + 1) & (len(slots) - 1)
        return None

    def find_all(self, tenants: Sequence[str], names: Sequence[str]) -> Int32s:
        """The numbers of many names, NONE for each that has none."""
        found: Int32s = np.full(len(names), NONE, dtype=np.int32)
        codes, mask = _hashes(tenants, names), len(self._slots) - 1
        left, slots = np.arange(len(names)), (codes & mask).astype(np.intp)
        while len(left):
            numbers = self._slots[slots[left]]
            taken = numbers != NONE
            left, numbers = left[taken], numbers[taken]
            same = self._entries.hash[numbers] == codes[left]
            for at, number in zip(left[same].tolist(), numbers[same].tolist(), strict=True):
                if self[number] == (tenants[at], names[at]):
                    found[at] = number
            left = left[found[left] == NONE]
            slots[left] = (slots[left] + 1) & mask
        return found

    def add(self, tenant: str, name: str) -> int:
        """A number for a name that has none yet."""
        number = self._free.pop() if self._free else self._size
        entries, encoded = self._make_known(number + 1), name.encode()
        entries.start[number], entries.length[number] = len(self._text), len(encoded)
        entries.tenant[number] = self._tenant_number(tenant)
        entries.hash[number] = code = hash((tenant, name)) & _HASH_MASK
        self._text += encoded
        if self._widen():
            return number
        slots, mask = self._slots, len(self._slots) - 1
        while slots[code & mask] != NONE:
            code += 1
        slots[code & mask] = number
        return number

    def add_all(self, tenants: Sequence[str], names: Sequence[str]) -> Int32s:
        """Numbers for distinct names that have none yet."""
        again = [self._free.pop() for _ in range(min(len(names), len(self._free)))]
        numbers = np.append(again, np.arange(self._size, self._size + len(names) - len(again))).astype(np.int32)
        entries, encoded = self._make_known(int(numbers.max(initial=-1)) + 1), [name.encode() for name in names]
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(names))
        entries.start[numbers], entries.length[numbers] = len(self._text) + np.cumsum(lengths) - lengths, lengths
        entries.tenant[numbers] = [self._tenant_number(tenant) for tenant in tenants]
        entries.hash[numbers] = _hashes(tenants, names)
        self._text += b"".join(encoded)
        if not self._widen():
            self._enter(numbers)
        return numbers

    def remove(self, number: int) -> None:
        """Gives a number back."""
        entries = self._entries
        self._vacate(self._slot_of(number))
        self._dead_bytes += int(entries.length[number])
        entries.clear(number)
        self._free.append(number)
        if 2 * self._dead_bytes > len(self._text):
            self._compact()

    def __getitem__(self, number: int) -> tuple[str, str]:
        """Tenant and name. Raises LookupError for a number that isn't used."""
        entries = self._entries
        tenant = int(entries.tenant[number])
        if tenant == NONE:
            raise LookupError(f"nothing has the number {number}")
        start = int(entries.start[number])
        return self._tenants[tenant], self._text[start : start + int(entries.length[number])].decode()

    def of_all(self, numbers: Places) -> list[tuple[str, str]]:
        """Tenants and names of many numbers. Raises LookupError if one isn't used."""
        entries, tenants, text = self._entries, self._tenants, self._text
        owners, starts = entries.tenant[numbers], entries.start[numbers]
        unused = np.flatnonzero(owners == NONE)
        if len(unused):
            raise LookupError(f"nothing has the number {numbers[unused[0]]}")
        spans = zip(owners.tolist(), starts.tolist(), (starts + entries.length[numbers]).tolist(), strict=True)
        return [(tenants[owner], text[start:end].decode()) for owner, start, end in spans]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Tenants and names."""
        return (self[number] for number in np.flatnonzero(self._entries.tenant[: self._size] != NONE).tolist())

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """The tenants of all that is, or was, in here."""
        return tuple(self._tenants)

    def tenant(self, number: int) -> int:
        """A number for the tenant of a name, by which it differs from the others."""
        return int(self._entries.tenant[number])

    def tenants(self, numbers: Places) -> Int32s:
        """The same of many."""
        return self._entries.tenant[numbers]

    # --- entries ---

    def _make_known(self, size: int) -> _Entries:
        self._size = max(self._size, size)
        self._entries.reserve(self._size)
        return self._entries

    def _tenant_number(self, tenant: str) -> int:
        number = self._tenant_numbers.get(tenant)
        if number is None:
            number = self._tenant_numbers[tenant] = len(self._tenants)
            self._tenants.append(tenant)
        return number

    def _compact(self) -> None:
        """Drops what removed names left in the text."""
        entries = self._entries
        numbers = np.flatnonzero(entries.tenant[: self._size] != NONE)
        starts, lengths = entries.start[numbers], entries.length[numbers].astype(np.int64)
        spans = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        self._text = bytearray().join(self._text[start:end] for start, end in spans)
        entries.start[numbers] = np.cumsum(lengths) - lengths
        self._dead_bytes = 0

    # --- the hash table ---

    def _enter(self, numbers: Places) -> None:
        """Puts numbers into the first empty slots from where their hashes point."""
        slots, mask = self._slots, len(self._slots) - 1
        at = (self._entries.hash[numbers] & mask).astype(np.intp)
        while len(numbers):
            empty = slots[at] == NONE
            # Of several that find the same slot empty one stays there.
            slots[at[empty]] = numbers[empty]
            outside = slots[at] != numbers
            numbers, at = numbers[outside], (at[outside] + 1) & mask

    def _widen(self) -> bool:
        """Enters all numbers into a larger table, if more than three slots in four are to be taken."""
        used = self._size - len(self._free)
        if 4 * used <= 3 * len(self._slots):
            return False
        self._slots = np.full(1 << (2 * used - 1).bit_length(), NONE, dtype=np.int32)
        self._enter(np.flatnonzero(self._entries.tenant[: self._size] != NONE))
        return True

    def _slot_of(self, number: int) -> int:
        mask = len(self._slots) - 1
        slot = int(self._entries.hash[number]) & mask
        while self._slots[slot] != number:
            slot = (slot + 1) & mask
        return slot

    def _vacate(self, slot: int) -> None:
        """Empties a slot, and moves up those after it that would be looked for there (Knuth's Algorithm R)."""
        slots, hashes, mask = self._slots, self._entries.hash, len(self._slots) - 1
        following = (slot + 1) & mask
        while (number := int(slots[following])) != NONE:
            home = int(hashes[number]) & mask
            if (following - home) & mask >= (following - slot) & mask:
                slots[slot] = number
                slot = following
            following = (following + 1) & mask
        slots[slot] = NONE


def _hashes(tenants: Sequence[str], names: Sequence[str]) -> NDArray[np.uint32]:
    codes = np.fromiter(map(hash, zip(tenants, names, strict=True)), dtype=np.int64, count=len(names))
    return (codes & _HASH_MASK).astype(np.uint32)
