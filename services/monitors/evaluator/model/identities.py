"""Numbers for names, so that everything else about a million rules or monitors can be columns."""

from collections.abc import Iterator


class Identities:
    """Names of tenants' things ↔ dense numbers from 0. A removed name's number is given again."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._tenants: list[str] = []
        self._names: list[str | None] = []
        self._free: list[int] = []

    def find(self, tenant: str, name: str) -> int | None:
        """The number of a name, None if it has none."""
        names = self._numbers.get(tenant)
        return None if names is None else names.get(name)

    def add(self, tenant: str, name: str) -> int:
        """A number for a name that has none yet."""
        if self._free:
            number = self._free.pop()
            self._tenants[number], self._names[number] = tenant, name
        else:
            number = len(self._names)
            self._tenants.append(tenant)
            self._names.append(name)
        self._numbers.setdefault(tenant, {})[name] = number
        return number

    def remove(self, number: int) -> None:
        """Gives a number back."""
        tenant, name = self[number]
        del self._numbers[tenant][name]
        if not self._numbers[tenant]:
            del self._numbers[tenant]
        self._names[number] = None
        self._free.append(number)

    def __getitem__(self, number: int) -> tuple[str, str]:
        """Tenant and name. Raises LookupError for a number that isn't used."""
        name = self._names[number]
        if name is None:
            raise LookupError(f"nothing has the number {number}")
        return self._tenants[number], name

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Tenants and names."""
        return ((tenant, name) for tenant, names in self._numbers.items() for name in names)
