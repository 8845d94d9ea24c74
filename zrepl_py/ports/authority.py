"""The authority port: who may say that a node takes, or keeps, the next epoch?

Exactly one authority is configured, the same on both nodes; its name is compared at the handshake.

Contract:
- An answer holds for this moment alone; nothing of it is remembered.
- Who was not reached, or did not answer in time, is UNKNOWN: never an error, never a right.
- GRANTED is said to one node of a group at a time. `manual` cannot know the other node; there a
  person states that it is fenced, and that statement was checked before the order is given.
- HELD and LOST are said only by an authority that keeps a lease. `manual` never says either.
"""

from typing import Protocol

from zrepl_py.model.roles import Authority, Order


class AuthorityPort(Protocol):
    """The authority of one group."""

    def answer(self, order: Order) -> Authority:
        """What it says to this node now, `order` being what a person has asked for. Within 5 s."""
