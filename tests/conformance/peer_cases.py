"""The two ends that the peer kit is run on: real TLS on 127.0.0.1, and the simulator's link."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.simulation.scenario import draw_scenario
from tests.simulation.site import Site as SimulatedSite
from tests.unit.peer_support import ALPHA, BETA, QUICK, Proxy, Site, serving
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.engine.commands import Command
from zrepl_py.engine.receive import Place
from zrepl_py.model.site import Lane, lane_uuid
from zrepl_py.ports.journal import Json
from zrepl_py.ports.peer import PeerPort
from zrepl_py.testing.kits.peer import BIG_BYTES, DATASET
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools


class OverTls:
    """PeerClient → proxy → PeerServer → Receiver → Replicas on a model pool."""

    def __init__(self, site: Site, agenda: Agenda) -> None:
        self.source_node = ALPHA
        self.lane = Lane(lane_uuid(ALPHA.uuid, 7, BETA.uuid), DATASET, BETA, raw=False)
        self.source = ModelZfs(ModelPools({"tank": 1 << 30}, seed=1))
        self.source.pools.make_dataset(DATASET)
        self.target = ModelZfs(ModelPools({"back": 1 << 30}, seed=2))
        self.target.pools.make_dataset("back/zr", mounted=False)
        self._journal = ModelJournal(MachineClock())
        replicas = Replicas(
            name="beta",
            places=[Place("back/zr/alpha", ALPHA)],
            policies=(),
            ports={"ZfsPort": self.target, "JournalPort": self._journal},
            tell=lambda event, **fields: None,
        )
        self._receiver = _Mute(Receiver(replicas, agenda))
        site.vault = self._receiver  # type: ignore[assignment]
        site.zfs = self.source  # type: ignore[assignment]
        self._site = site

    def begin(self) -> None:
        """Once the server listens."""
        self._proxy = Proxy(self._site.server.port)
        self._client = self._site.client(self._proxy.port)
        self._cutting = False
        self.peer: PeerPort = _CutOnce(self, self._client)

    def journalled(self, kind: str) -> list[dict[str, Json]]:
        return [dict(record) for record in self._journal.records(kind)]

    def cut_next_stream(self) -> None:
        self._cutting = True

    def transfer(self, *arguments: Any) -> Any:
        """The client's, cut in the middle where that was asked for."""
        if self._cutting:
            self._proxy.cut_at = BIG_BYTES // 2  # of one connection; calls never come so far
        try:
            return self._client.transfer(*arguments)
        finally:
            self._cutting, self._proxy.cut_at = False, None

    def lose_next_answer(self) -> None:
        self._receiver.mute.clear()

    def silence(self) -> None:
        self._proxy.hold_at = 0

    def end(self) -> None:
        self._receiver.mute.set()
        self._client.close()
        self._proxy.close()


class _CutOnce:
    """The client, but for `transfer`."""

    def __init__(self, case: OverTls, client: PeerPort) -> None:
        self._client, self.transfer = client, case.transfer

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._client, verb)


class _Mute:
    """ReceiverPort that can take longer to answer than any source waits."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.mute = threading.Event()
        self.mute.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)

    def receive(self, *arguments: Any) -> Any:
        return self._late(self._receiver.receive(*arguments))

    def store_receipt(self, *arguments: Any) -> Any:
        return self._late(self._receiver.store_receipt(*arguments))  # type: ignore[func-returns-value]

    def _late(self, answer: Any) -> Any:
        self.mute.wait(20)
        self.mute.set()
        return answer


@contextmanager
def over_tls(folder: Path) -> Iterator[OverTls]:
    """A case; the source gives up after a second or two, and the target never before it does."""
    limits = replace(QUICK, settle_seconds=0.5, stall_seconds=1.5)
    limits = replace(limits, call_seconds=1.0, connect_seconds=1.0)
    agenda = Agenda(MachineClock(), 1, lambda error: None)
    site = Site(folder, limits=replace(limits, stall_seconds=15.0, call_seconds=15.0))
    case = OverTls(site, agenda)
    with serving(site):
        site.limits = limits
        case.begin()
        try:
            yield case
        finally:
            case.end()
    agenda.stop(5.0)


class _Waiting:
    """PeerPort over the simulator's link: calls, and lets time pass until the answer."""

    def __init__(self, site: SimulatedSite) -> None:
        self._site = site

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any) -> Any:
            outcome: list[tuple[Any, Exception | None]] = []
            command = Command("PeerPort", verb, arguments, {})
            self._site.links[0].end.call(command, lambda v, e: outcome.append((v, e)))
            until = self._site.loop.now + 600
            while not outcome:
                assert self._site.loop.now < until, "it waits for ever"
                assert not self._site.loop.stopped, self._site.watch.violations
                self._site.loop.run_until(self._site.loop.now + 1)
            value, error = outcome[0]
            if error is not None:
                raise error
            return value

        return call


class OverTheSimulatedLink:
    """tests/simulation/link.py between two simulated nodes that do nothing of their own."""

    def __init__(self) -> None:
        scenario = draw_scenario(0, frozenset())
        order = replace(scenario.orders[0], made=())
        policy = replace(order.policy, every_seconds=10**9, targets=("beta",), keep={})
        quiet = (replace(order, policy=policy),)
        site = SimulatedSite(replace(scenario, orders=quiet, targets=("beta",), faults=frozenset()))
        self._site, (alpha, beta) = site, site.nodes
        site.watch.look_away()
        dataset = alpha.pools.make_dataset(DATASET)
        for node in site.nodes:
            node.boot()
        site.loop.run_until(60)
        self.source, self.target = alpha.zfs, beta.zfs
        uuid = lane_uuid(alpha.node.uuid, dataset.guid, beta.node.uuid)
        self.source_node = alpha.node
        self.lane = Lane(uuid, DATASET, beta.node, raw=False)
        self.peer: PeerPort = _Waiting(site)

    def journalled(self, kind: str) -> list[dict[str, Json]]:
        return [dict(record) for record in self._site.nodes[1].journal.records(kind)]

    def cut_next_stream(self) -> None:
        self._site.links[0].cut_streams = 1

    def lose_next_answer(self) -> None:
        self._site.links[0].lose_answers = 1

    def silence(self) -> None:
        self._site.links[0].cut_off = 1
