"""Conformance kit of AuthorityPort: what any authority may never say, and what `manual` says."""

from collections.abc import Callable

from zrepl_py.model.roles import Authority, Order
from zrepl_py.ports.authority import AuthorityPort

STATED = (Order.FORCE, Order.CONTINUE, Order.RESOLVE)
"""Orders that stand on a person's statement."""


def check_nothing_is_granted_unasked(authority: AuthorityPort) -> None:
    """Without a statement, and again and again, `manual` gives no right and takes none."""
    for _ in range(3):
        for order in Order:
            if order not in STATED:
                assert authority.answer(order) is Authority.UNKNOWN, order


def check_a_statement_grants_once_each_time(authority: AuthorityPort) -> None:
    """It holds for the order that it was given with, and for nothing after it."""
    for order in STATED:
        assert authority.answer(order) is Authority.GRANTED, order
        assert authority.answer(Order.NONE) is Authority.UNKNOWN


MANUAL_CHECKS: tuple[Callable[[AuthorityPort], None], ...] = (
    check_nothing_is_granted_unasked,
    check_a_statement_grants_once_each_time,
)
