"""The authority `manual`: AuthorityPort by what a person orders, and by nothing else."""

from zrepl_py.core.siteview import answer_by_hand
from zrepl_py.model.roles import Authority, Order


class ManualAuthority:
    """See AuthorityPort. It asks nobody, so it never takes anything away."""

    def answer(self, order: Order) -> Authority:
        """See the port."""
        return answer_by_hand(order)
