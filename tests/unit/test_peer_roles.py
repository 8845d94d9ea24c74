"""What two nodes tell each other of their roles, over real TLS."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.unit.peer_support import (
    ALPHA,
    BETA,
    EPOCH,
    QUICK,
    Site,
    full_of,
    hello_of,
    lane_of,
    random_body,
    serving,
    stream_of,
    wait_for,
)
from zrepl_py.adapters.peer.greeting import ROLES
from zrepl_py.adapters.peer.roles import RoleLink
from zrepl_py.core.handshake import GroupWord, MemberWord
from zrepl_py.core.promotion import MOST_PENDING, Pending
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.core.siteview import PeerWord
from zrepl_py.errors import Corrupt, Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.lineage import Entry, Handover, Intent, Taking
from zrepl_py.model.names import Epoch
from zrepl_py.model.rescue import render_rescue_snapshot
from zrepl_py.model.roles import Record, State
from zrepl_py.model.site import Node

GROUP = "33333333-3333-4333-8333-333333333333"
LABEL = "1-00000001-00000002"
ONE, TWO = Epoch(1, "0" * 8), Epoch(2, "a" * 8)


def history_of_many(count: int, first: int = 1) -> History:
    return History(
        tuple(
            Snapshot(2**63 + n, n, f"zr_{EPOCH}_{n}_20261121T081500Z", 1795000000 + n)
            for n in range(first, first + count)
        ),
        (Bookmark(2**62, 1, "zr_cursor", 1795000000),),
    )


def word_of(node: Node, members: dict[str, History], boot: str = "boot") -> RoleWord:
    lineage = (
        Entry(ONE, ALPHA.uuid, Taking.FOUNDED, {"tank/a": 7}, 5, "", "anna"),
        Entry(TWO, BETA.uuid, Taking.FORCED, {"tank/a": 2**64 - 1}, 6, "2026-11-21T09:14:23Z"),
    )
    handover = Handover(Epoch(3, "d" * 8), ALPHA.uuid, {"tank/a": 9})
    group = GroupWord(
        node.uuid, GROUP, lineage, ALPHA.uuid, "manual", frozenset({"x", "y"}),
        {name: MemberWord(h, n or None, n == 1) for n, (name, h) in enumerate(members.items())},
        rescuing=True,
    )  # fmt: skip
    said = PeerWord(State.STANDBY, Record.STANDBY, None, handover)
    intent = Intent(Epoch(3, "c" * 8), ALPHA.uuid)
    return RoleWord(boot, said, group, intent, {"player": "running"}, "here")


@dataclass
class Desk:
    """beta's, with a word that a test sets."""

    says: RoleWord
    heard: list[tuple[str, RoleWord]] = field(default_factory=list)
    beats: list[tuple[str, str, Heartbeat]] = field(default_factory=list)
    rescues: dict[int, bytes] = field(default_factory=dict)
    orders: list[tuple[str, str, ShipOrder]] = field(default_factory=list)
    refuse: ZrError | None = None
    gate: threading.Event | None = None

    def exchange(self, source: str, mine: RoleWord) -> RoleWord:
        self.heard.append((source, mine))
        if self.refuse is not None:
            raise self.refuse
        return self.says

    def note_heartbeat(self, source: str, group: str, beat: Heartbeat) -> None:
        self.beats.append((source, group, beat))

    def observe_shipped(self, source: str, group: str, label: str) -> frozenset[int]:
        if self.gate is not None:
            self.gate.wait(20)
        return frozenset(self.rescues)

    def receive_rescue(self, source: str, group: str, order: ShipOrder, fd: int) -> None:
        self.orders.append((source, group, order))
        with open(fd, "rb", buffering=0) as pipe:
            if self.refuse is not None:
                raise self.refuse
            self.rescues[order.to_guid] = pipe.readall()


@dataclass
class Pair:
    site: Site
    desk: Desk
    link: RoleLink

    def connections(self) -> int:
        return [event for event, _ in self.site.events].count(Event.PEER_CONNECTED)


def with_roles(node: Node, boot: str = "boot") -> object:
    plain = hello_of(node)
    return replace(plain, features=(*plain.features, ROLES), boot=boot)


def site_with_roles(folder: Path) -> tuple[Site, Desk]:
    desk = Desk(word_of(BETA, {"tank/a": history_of_many(3)}))
    site = Site(folder, limits=replace(QUICK, role_seconds=1.0, redial_seconds=0.3))
    site.client_hello = with_roles(ALPHA)  # type: ignore[assignment]
    site.server_hello = with_roles(BETA)  # type: ignore[assignment]
    site.desk = desk
    return site, desk


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    site, desk = site_with_roles(tmp_path)
    with serving(site):
        client = site.client()
        yield Pair(site, desk, RoleLink(client, GROUP))
        client.close()


def test_words_are_exchanged_as_they_are_said(pair: Pair) -> None:
    mine = word_of(ALPHA, {"tank/a": history_of_many(3), "tank/b": History()})
    assert pair.link.exchange(mine) == pair.desk.says
    assert pair.desk.heard == [(ALPHA.uuid, mine)]
    later = word_of(ALPHA, {"tank/a": history_of_many(4), "tank/b": History()})
    pair.desk.says = replace(pair.desk.says, intent=None)
    assert pair.link.exchange(later) == pair.desk.says
    assert pair.link.exchange(later) == pair.desk.says
    assert [heard for _, heard in pair.desk.heard] == [mine, later, later]
    assert pair.connections() == 1


def test_what_is_shown_to_people_cannot_steer_their_terminal(pair: Pair) -> None:
    mine = word_of(ALPHA, {})
    pair.desk.says = replace(pair.desk.says, trouble="No key\x1b[2J of " + "x" * 5000)
    told = pair.link.exchange(mine).trouble
    assert told.startswith("No key [2J of x")
    assert len(told) == 4000


def test_a_large_group_fits_and_what_is_known_is_not_told_again(pair: Pair) -> None:
    members = {f"tank/d{n:02}": history_of_many(1000, 1 + 1000 * n) for n in range(30)}
    pair.site.limits = replace(pair.site.limits, role_seconds=5.0)
    mine = word_of(ALPHA, members)
    pair.desk.says = word_of(BETA, members)
    link = RoleLink(pair.site.client(), GROUP)
    assert link.exchange(mine) == pair.desk.says
    sent = [session._link.received_bytes for session in pair.site.server._sessions]  # type: ignore[union-attr]
    assert max(sent) < 3 << 20
    began = time.monotonic()
    assert link.exchange(mine) == pair.desk.says
    print(f"known: {time.monotonic() - began:.3f} s")
    again = [session._link.received_bytes for session in pair.site.server._sessions]  # type: ignore[union-attr]
    assert max(again) - max(sent) < 20_000
    assert pair.desk.heard[0][1] == pair.desk.heard[1][1] == mine
    link._client.close()


@pytest.mark.long
def test_a_group_that_is_too_large_for_a_word_is_told_from_what_both_have_on(pair: Pair) -> None:
    pair.site.limits = replace(pair.site.limits, role_seconds=20.0)
    link = RoleLink(pair.site.client(), GROUP)
    whole = {f"tank/d{n:02}": history_of_many(10_000) for n in range(12)}
    behind = {name: h.with_snapshots(h.snapshots[:4000]) for name, h in whole.items()}
    pair.desk.says = word_of(BETA, whole)
    told = link.exchange(word_of(ALPHA, behind)).group.members["tank/d03"].history
    assert told.newest == whole["tank/d03"].newest
    assert told.snapshots[0] == behind["tank/d03"].newest
    everything = {name: len(h.snapshots) for name, h in whole.items()}
    heard = pair.desk.heard[0][1].group.members
    assert {name: len(m.history.snapshots) for name, m in heard.items()} != everything
    with pytest.raises(Refused) as refused:
        link.exchange(word_of(ALPHA, {}))
    assert refused.value.reason == "message-too-large"
    link.exchange(word_of(ALPHA, behind))
    link._client.close()


def test_a_refusal_arrives_as_itself_and_the_connection_lives(pair: Pair) -> None:
    pair.desk.refuse = Refused("no-roles", "No such group.")
    mine = word_of(ALPHA, {"tank/a": history_of_many(3)})
    with pytest.raises(Refused) as refused:
        pair.link.exchange(mine)
    assert refused.value.reason == "no-roles"
    pair.desk.refuse = None
    assert pair.link.exchange(mine) == pair.desk.says
    assert pair.desk.heard[-1] == (ALPHA.uuid, mine)
    assert pair.connections() == 1


def test_a_word_of_another_start_or_node_does_not_count(pair: Pair) -> None:
    mine = word_of(ALPHA, {"tank/a": history_of_many(3)})
    pair.desk.says = replace(pair.desk.says, boot="later")
    with pytest.raises(Passing) as raised:
        pair.link.exchange(mine)
    assert raised.value.reason == "peer-silent"
    pair.desk.says = replace(pair.desk.says, boot="boot")
    with pytest.raises(Passing):
        pair.link.exchange(replace(mine, boot="before"))
    with pytest.raises(Corrupt):
        pair.link.exchange(word_of(BETA, {}))
    assert pair.link.exchange(mine) == pair.desk.says


def test_a_heartbeat_is_bounded_and_can_be_shown(pair: Pair) -> None:
    many = tuple(Pending(f"/tank/a/{n}", n) for n in range(MOST_PENDING + 5))
    odd = (Pending("/a\n\x1b[31m\udcff", 3), *many)
    pair.link.tell_heartbeat(Heartbeat("boot", 1234, odd))
    [(source, group, beat)] = pair.desk.beats
    assert (source, group, beat.at) == (ALPHA.uuid, GROUP, 1234)
    assert (len(beat.pending), beat.pending_count) == (MOST_PENDING, MOST_PENDING + 6)
    assert beat.pending[0] == Pending("/a??[31m?", 3)


def test_a_look_that_hangs_delays_no_word(pair: Pair) -> None:
    pair.desk.gate = threading.Event()
    failed: list[Passing] = []

    def look() -> None:
        with pytest.raises(Passing) as raised:
            pair.link.observe_shipped(LABEL)
        failed.append(raised.value)

    thread = threading.Thread(target=look)
    thread.start()
    mine = word_of(ALPHA, {})
    began = time.monotonic()
    pair.link.exchange(mine)
    pair.link.exchange(mine)
    assert time.monotonic() - began < 0.8
    thread.join(5)
    assert failed
    assert failed[0].reason == "peer-silent"
    pair.desk.gate.set()


def test_a_dead_peer_costs_one_timeout_and_is_found_again(tmp_path: Path) -> None:
    site, desk = site_with_roles(tmp_path)
    mine = word_of(ALPHA, {})
    with serving(site) as server:
        port = server.port
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        site.limits = replace(site.limits, sign_seconds=0.5, redial_seconds=0.2)
        client = site.client(deaf.getsockname()[1])
        link = RoleLink(client, GROUP)
        with pytest.raises(Passing):
            link.exchange(mine)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            asked = time.monotonic()
            with pytest.raises(Passing) as raised:
                link.exchange(mine)
            assert raised.value.reason == "peer-silent"
            assert time.monotonic() - asked < 0.3, "it waited for the dead peer again"
            time.sleep(0.05)
        client.close()
    client = site.client(port)
    link = RoleLink(client, GROUP)
    with pytest.raises(Passing):
        link.exchange(mine)
    with serving(site, port):

        def answers() -> bool:
            try:
                return link.exchange(mine) == desk.says
            except Passing:
                return False

        wait_for(answers)
        client.close()


def test_who_has_no_roles_is_told_so_and_never_gets_a_word(tmp_path: Path) -> None:
    site, _ = site_with_roles(tmp_path)
    site.server_hello = hello_of(BETA)
    with serving(site):
        client = site.client()
        link = RoleLink(client, GROUP)
        for _ in range(3):
            with pytest.raises(Refused) as refused:
                link.exchange(word_of(ALPHA, {}))
            assert refused.value.reason == "no-roles"
        assert Event.PEER_LOST not in [e for e, f in site.events if f.get("reason") == "protocol"]
        client.observe_replica(lane_of())
        client.close()


def test_a_node_that_says_roles_but_has_no_desk_refuses(tmp_path: Path) -> None:
    site, _ = site_with_roles(tmp_path)
    site.desk = None
    with serving(site):
        client = site.client()
        link = RoleLink(client, GROUP)
        order = ShipOrder(LABEL, "tank/a", render_rescue_snapshot(LABEL), 5, 0, False)
        for ask in (
            lambda: link.exchange(word_of(ALPHA, {})),
            lambda: link.tell_heartbeat(Heartbeat("boot", 1)),
            lambda: link.observe_shipped(LABEL),
            lambda: link.ship_rescue("tank/a@x", None, order),
        ):
            with pytest.raises(Refused) as refused:
                ask()
            assert refused.value.reason == "no-roles"
        client.close()


def test_a_rescue_is_shipped_once(pair: Pair) -> None:
    body = random_body(300_000)
    name = render_rescue_snapshot(LABEL)
    order = ShipOrder(LABEL, "tank/a", name, 5, 4, True)
    snapshot, base = f"tank/zr-rescue/{LABEL}/a@{name}", f"tank/a@zr_{EPOCH}_1"
    pair.site.zfs.bodies[snapshot] = body
    for _ in range(2):
        pair.link.ship_rescue(snapshot, base, order)
    assert pair.desk.rescues == {5: stream_of(body)}
    assert pair.desk.orders == [(ALPHA.uuid, GROUP, order)]
    assert pair.site.zfs.asked == [(snapshot, base, True, None)]
    assert pair.link.observe_shipped(LABEL) == {5}
    pair.desk.refuse = Refused("bad-name", "There is no such member.")
    with pytest.raises(Refused, match="member"):
        pair.link.ship_rescue(snapshot, base, replace(order, to_guid=6))


def test_only_streams_of_the_source_are_severed(pair: Pair) -> None:
    lane, step = lane_of(), full_of(1)
    pair.site.zfs.bodies[f"{lane.dataset}@{step.to.name}"] = random_body(4_000_000)
    gate = pair.site.vault.read_gate[1] = threading.Event()
    client = pair.site.client()
    failed: list[ZrError] = []

    def send() -> None:
        with pytest.raises(ZrError) as raised:
            client.transfer(lane, step)
        failed.append(raised.value)

    sending = threading.Thread(target=send)
    sending.start()
    wait_for(pair.site.vault.began.is_set)
    mine = word_of(ALPHA, {})
    pair.link.exchange(mine)
    pair.site.server.sever_source(BETA.uuid)
    assert not pair.site.vault.ended.wait(0.3)
    pair.site.server.sever_source(ALPHA.uuid)
    gate.set()
    sending.join(5)
    assert failed
    wait_for(lambda: pair.site.vault.cut == [1])
    before = pair.connections()
    pair.link.exchange(mine)
    assert pair.connections() == before, "the roles' own connection was left alone"
    client.close()
