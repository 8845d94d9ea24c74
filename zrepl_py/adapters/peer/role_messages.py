"""The messages of the roles. Which question it answers: is this one that an honest peer sends?

They come behind the feature `roles` (greeting.py), in the frames that there are: CALL, ANSWER and
BEGIN. Who has not said the feature never gets one. Everything odd is Corrupt(protocol).
"""

from dataclasses import dataclass, replace

from zrepl_py.adapters.peer.messages import check_begin, check_call, parse_message
from zrepl_py.adapters.peer.role_told import ToldWord
from zrepl_py.core.role_words import MOST_MEMBERS, Heartbeat, ShipOrder, bound_heartbeat
from zrepl_py.errors import Corrupt, Refused
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.rescue import parse_rescue_snapshot, render_rescue_snapshot
from zrepl_py.model.wire import Begin, Call

_LONGEST_NAME = 255
_GUID_END = 1 << 64


@dataclass(frozen=True, slots=True)
class AskRoles:
    """Call: this is what I say of my role in a group. Answered with RolesTold."""

    told: ToldWord


@dataclass(frozen=True, slots=True)
class TellHeartbeat:
    """Call: I am here. Answered when it is in memory."""

    group: str
    beat: Heartbeat


@dataclass(frozen=True, slots=True)
class AskShipped:
    """Call: which of that rescue's snapshots do you have? Answered with Shipped."""

    group: str
    label: str


RoleCall = AskRoles | TellHeartbeat | AskShipped


@dataclass(frozen=True, slots=True)
class RolesTold:
    """What the asked node says of its own role in that group."""

    told: ToldWord


@dataclass(frozen=True, slots=True)
class Shipped:
    """guids, sorted."""

    guids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BeginRescue:
    """A rescue's stream follows, else as Begin. It names no place."""

    group: str
    order: ShipOrder

    @property
    def to_name(self) -> str:
        """Of the snapshot, after the @."""
        return self.order.name

    @property
    def to_guid(self) -> int:
        """Of the snapshot."""
        return self.order.to_guid


def parse_asked(payload: memoryview | bytes) -> RoleCall | Call:
    """The payload of a CALL, looked at; of AskRoles the word itself is not yet (role_told.py)."""
    call: RoleCall | Call = parse_message(RoleCall | Call, payload)
    if isinstance(call, TellHeartbeat):
        return replace(call, beat=check_beat(call.beat))
    if isinstance(call, AskShipped):
        if not is_label(call.label):
            raise Corrupt("protocol", "The peer named an impossible rescue.")
        return call
    return call if isinstance(call, AskRoles) else check_call(call)


def parse_opening(payload: memoryview | bytes) -> BeginRescue | Begin:
    """The payload of a BEGIN, looked at."""
    begin: BeginRescue | Begin = parse_message(BeginRescue | Begin, payload)
    if isinstance(begin, Begin):
        return check_begin(begin)
    try:
        check_order(begin.order)
    except Refused as error:
        raise Corrupt("protocol", f"The peer ships an impossible rescue. {error}") from None
    return begin


def parse_shipped(payload: memoryview | bytes) -> frozenset[int]:
    """The answer to AskShipped."""
    shipped: Shipped = parse_message(Shipped, payload)
    guids = shipped.guids
    if len(guids) > MOST_MEMBERS or not all(0 < guid < _GUID_END for guid in guids):
        raise Corrupt("protocol", "The peer told impossible guids.")
    return frozenset(guids)


def check_order(order: ShipOrder) -> None:
    """Refused(bad-name) of an order that can be of no rescue."""
    check_dataset_name(order.member)
    named = is_label(order.label) and order.name == render_rescue_snapshot(order.label)
    numbers = 0 < order.to_guid < _GUID_END and 0 <= order.base_guid < _GUID_END
    if not named or not numbers or order.base_guid == order.to_guid:
        raise Refused("bad-name", f"{order.label[:60]!r} is no rescue that could be shipped.")


def is_label(label: str) -> bool:
    """Whether a rescue can be called so."""
    return parse_rescue_snapshot(render_rescue_snapshot(label)) is not None


def check_beat(beat: Heartbeat) -> Heartbeat:
    """As much of it as is told and kept, with paths that can be shown. Corrupt(protocol)."""
    bounded = bound_heartbeat(beat)
    sizes = [pending.size_bytes for pending in bounded.pending]
    if not all(0 <= n < _GUID_END for n in (beat.at, bounded.pending_count, *sizes)):
        raise Corrupt("protocol", "The peer told impossible numbers.")
    return replace(
        bounded,
        boot=bounded.boot[:_LONGEST_NAME],
        pending=tuple(replace(p, path=_shown(p.path)) for p in bounded.pending),
    )


def _shown(path: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in path)
