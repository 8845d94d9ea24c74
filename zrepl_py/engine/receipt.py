"""A receipt, from the source that asks for it to the target that confirms it.

The target looks at its own pool and journals what it confirms, before it answers; the source then
journals it too, and only after that anybody is shown it.
"""

from zrepl_py.core.codec import encode
from zrepl_py.core.receipts import receipt_id
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Refused
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.receipt import Holding, Receipt
from zrepl_py.ports.journal import JournalPort
from zrepl_py.ports.peer import PeerPort
from zrepl_py.ports.zfs import ZfsPort


def issue_receipt(receipt: Receipt) -> Engine[str]:
    """Let the target confirm it, then journal it; returns its id. Errors: those of tell_receipt."""
    yield from ask(PeerPort.tell_receipt, receipt)
    return (yield from journal_receipt(receipt))


def journal_receipt(receipt: Receipt) -> Engine[str]:
    """Append it to this node's journal, durably; returns its id."""
    known_as = receipt_id(receipt)
    yield from ask(JournalPort.append, "receipt", {"id": known_as, "receipt": encode(receipt)})
    return known_as


def check_holding(replica: str, held: Holding) -> Engine[None]:
    """Refused(receipt-false) unless the pool shows this very snapshot."""
    seen = yield from ask(ZfsPort.observe_snapshot, join_snapshot(replica, held.name))
    if seen is None or seen.guid != held.guid:
        raise Refused(
            "receipt-false",
            f"{held.name} of {held.dataset} (guid {held.guid}) is not on the target.",
            "Nothing is to be done: it is sent, or a newer one is, and asked again.",
        )
