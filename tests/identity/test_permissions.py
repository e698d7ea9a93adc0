"""What permissions of a user system mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.identity import ORDINARY_SCOPES, SCOPES
from monitors.rules.identity.permissions import scopes_of

READING = {scope for scope in ORDINARY_SCOPES if scope.endswith(":read")}


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [
        ("read", READING),
        ("write", set(ORDINARY_SCOPES)),
        ("admin", {"admin"}),
        ("*", set(SCOPES)),
        ("alerts:read", {"alerts:read"}),
        ("alerts.write", {"alerts:read", "alerts:write"}),
        ("monitors:read", {"samples:read", "rules:read"}),
        ("billing:write", set()),
        ("alerts:destroy", set()),
        ("", set()),
    ],
)
def test_a_permission_stands_for_scopes(permission: str, scopes: set[str]) -> None:
    assert scopes_of([permission], {}) == scopes


@given(st.lists(st.text(max_size=20) | st.integers() | st.none()))
def test_whatever_permissions_are_they_give_no_more_than_there_is(permissions: list[object]) -> None:
    assert scopes_of(permissions, {}) <= set(SCOPES)
