"""The way from one node to another: calls and streams that can be late, lost, cut or torn.

What the peer adapters promise (ports/peer.py), and no more: whoever asks gets what the target said,
or Passing(peer-silent), after which anything may have happened there, or may still happen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.node import SimNode, Stream
from tests.simulation.tasks import Outcome, Tasks
from zrepl_py.engine.commands import Command, Engine
from zrepl_py.errors import Passing, ZrError
from zrepl_py.model.history import Bookmark
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.plan import Resume, SendFull
from zrepl_py.model.wire import Begin, Committed, LaneName
from zrepl_py.testing.model_zfs_state import Version

if TYPE_CHECKING:
    from tests.simulation.site import Site

PATIENCE_SECONDS = 60.0
LONGEST_STREAM_SECONDS = 300.0


@dataclass(slots=True, eq=False)
class Call:
    """Something asked, until its answer or the end of patience."""

    command: Command
    done: Outcome
    asker: Tasks
    answered: bool = False
    stream: Stream | None = None
    receive: Callable[[], Engine[Any]] | None = None
    """What the target does with the stream that is on its way to it."""
    _sending: Version | None = None

    def finish(self, value: Any, error: Exception | None) -> None:
        """The asker learns of it, once."""
        if not self.answered:
            self.answered = True
            self.done(value, error)

    def begin_sending(self, version: Version | None) -> None:
        """ZFS destroys no snapshot while it is being sent."""
        self._sending = version
        if version is not None:
            version.sends += 1

    def end_sending(self) -> None:
        """The send has ended, however."""
        if self._sending is not None:
            self._sending.sends -= 1
            self._sending = None


class LinkEnd:
    """The source's end: an AsyncPort in the place of PeerPort."""

    def __init__(self, link: "Link") -> None:
        self._link = link

    def call(self, command: Command, done: Outcome) -> None:
        """See tasks.AsyncPort."""
        self._link.ask(command, done)


class Link:
    """From `source` to `target`."""

    def __init__(self, site: "Site", source: SimNode, target: SimNode) -> None:
        self.site, self.source, self.target = site, source, target
        self.end = LinkEnd(self)
        self.loop = site.loop
        self.random = Random(f"{site.seed}/{source.node.name}>{target.node.name}")
        self.cut_off = 0
        """How many partitions lie on it now."""
        self.lose_answers = 0
        """So many further answers get lost."""
        self.cut_streams = 0
        """So many further streams are cut."""
        self.late_calls = 0
        """So many further calls are done by the target only after the asker has given up."""
        self.slowness = 1.0
        self._open: dict[Call, None] = {}

    # The source's side.

    def ask(self, command: Command, done: Outcome) -> None:
        """Carry a command of PeerPort to the target."""
        assert self.source.tasks is not None
        call = Call(command, done, self.source.tasks)
        self._open[call] = None
        self.loop.after(self._travel(), lambda: self._arrive(call))

    def tear(self) -> None:
        """What is under way is lost for the asker; the target may still do it, or half of it. Where
        the target's power went, that half is on its disk already, and it knows nothing of it."""
        for call in list(self._open):
            if call.receive is not None and not self.target.up:
                self.target.receive_half(call.receive())
                call.receive = None
            elif call.stream is not None and call.stream.cut is None:
                call.stream.lose_rest(self.random, perhaps_nothing=True)
            self._lose(call)

    def _lose(self, call: Call) -> None:
        self._open.pop(call, None)
        call.end_sending()  # whoever gives up sends no more
        silent = Passing("peer-silent", f"{self.target.node.name} does not answer.")
        patience = self.random.random() ** 2 * PATIENCE_SECONDS
        self.loop.after(patience, lambda: call.finish(None, silent))

    def _give_up(self, call: Call) -> None:
        if call in self._open:
            self._lose(call)

    def _travel(self) -> float:
        return self.site.latency_seconds * self.slowness * self.random.random()

    # The target's side.

    def _arrive(self, call: Call) -> None:
        if self.cut_off or not self.target.up:
            self._lose(call)
            return
        if self.target.frozen:
            self.loop.after(PATIENCE_SECONDS, lambda: self._give_up(call))
            self.target.deferred.append(lambda: self._serve(call))
            return
        if self.late_calls > 0:
            self.late_calls -= 1
            self._lose(call)
            late = self.random.random() * 2 * PATIENCE_SECONDS
            self.loop.after(late, lambda: self._serve(call))
            return
        self._serve(call)

    def _serve(self, call: Call) -> None:
        if not self.target.up:
            return  # it crashed meanwhile, and has forgotten the call
        verb, arguments = call.command.verb, call.command.args
        target, source = self.target, self.source.node.uuid
        if verb == "tell_manifest":
            engine = target.replicas.store_manifest(source, arguments[0])
            self._run(engine, lambda v, e: self._answer(call, v, e))
            return
        if verb == "tell_receipt":
            engine = target.replicas.store_receipt(source, arguments[0])
            self._run(engine, lambda v, e: self._answer(call, v, e))
            return
        lane = LaneName(arguments[0].uuid, arguments[0].dataset)
        try:
            known = target.replicas.find(source, lane)
        except ZrError as error:
            self._answer(call, None, error)
            return

        def done(value: Any, error: Exception | None) -> None:
            target.end_turn(lane.lane)
            self._answer(call, value, error)

        def begin() -> None:
            if verb == "transfer":
                self._transfer(call, known, done)
            elif verb == "observe_replica":
                self._run(target.replicas.observe(known, lane), done)
            elif verb == "abort_partial":
                self._run(target.replicas.abort_partial(known, lane, arguments[1]), done)
            elif verb == "hold_base":
                self._run(target.replicas.hold_base(known, lane, arguments[1]), done)
            else:
                self._run(target.replicas.store_properties(known, lane, arguments[1]), done)

        target.take_turn(lane.lane, begin, lambda late: self._answer(call, None, late))

    def _run(self, engine: Any, done: Outcome) -> None:
        assert self.target.tasks is not None
        self.target.tasks.run(engine, self.target.replicas.ports, done)

    def _answer(self, call: Call, value: Any, error: Exception | None) -> None:
        if isinstance(value, Committed):
            self.site.watch.acknowledged(self, call.command, value)
        often = call.command.verb == "tell_manifest"  # else hardly another answer got lost
        if self.lose_answers > 0 and (not often or self.random.random() < 0.2):
            self.lose_answers -= 1
            self._lose(call)
            return

        def arrive() -> None:
            if self.cut_off:
                self._lose(call)
            else:
                self._open.pop(call, None)
                if error is None and not call.answered and call.asker.alive:
                    self._note_heard(call.command, value)
                call.finish(value, error)

        self.loop.after(self._travel(), arrive)

    def _note_heard(self, command: Command, value: Any) -> None:
        """The source learns, for the first time, that the target has something of a dataset."""
        looked = command.verb == "observe_replica" and value.history.snapshots
        if not (looked or command.verb == "transfer"):
            return
        dataset = self.source.pools.find(command.args[0].dataset)
        truth, key = self.site.truth, (self.target.node.name, dataset.guid if dataset else 0)
        if truth.heard.get(key, -1.0) < truth.first_arrived.get(key, -1.0):
            truth.heard[key] = self.loop.now

    def _transfer(self, call: Call, known: Any, done: Outcome) -> None:
        """What daemon/receiver.py's receive does, with the source's send on the other end."""
        target = self.target
        lane, step = call.command.args
        begin = _begin_of(lane, step)
        tasks = target.tasks

        def prepared(replica: Any, error: Exception | None) -> None:
            if error is not None:
                done(None, error)
                return
            content, trouble = self._send(call, lane, step)
            if content and call in self._open:
                call.begin_sending(self.source.pools.version(f"{lane.dataset}@{step.to.name}"))
            fd, stream = target.open_stream(content)
            call.stream = stream
            self._maybe_cut(stream)
            if call.answered or call not in self._open:
                stream.cut = 0  # whoever has given up before this side was ready sends nothing

            def received(value: Any, error: Exception | None) -> None:
                call.end_sending()
                done(value, trouble or error)

            def arrive() -> None:
                if target.tasks is tasks:  # else it crashed meanwhile, and has forgotten all this
                    call.receive = None
                    self._run(target.replicas.receive(known, replica, begin, fd), received)

            call.receive = lambda: target.replicas.receive(known, replica, begin, fd)
            seconds = len(content) * self.slowness / self.site.scenario.bandwidth
            self.loop.after(min(seconds, LONGEST_STREAM_SECONDS), arrive)

        self._run(target.replicas.prepare(known, begin), prepared)

    def _send(self, call: Call, lane: Any, step: Any) -> tuple[bytes, ZrError | None]:
        """The stream, or nothing and why."""
        if self.source.tasks is not call.asker:
            return b"", Passing("stream-cut", "The source is gone.")
        base = None if isinstance(step, SendFull) else step.base
        resume = (step.object, step.offset) if isinstance(step, Resume) else None
        name = None
        if base is not None:
            name = f"{lane.dataset}{'#' if isinstance(base, Bookmark) else '@'}{base.name}"
        snapshot = join_snapshot(lane.dataset, step.to.name)
        try:
            return self.source.zfs.stream_of(snapshot, name, raw=lane.raw, resume=resume), None
        except ZrError as error:
            return b"", error

    def _maybe_cut(self, stream: Stream) -> None:
        if self.cut_streams > 0 and stream.content:
            self.cut_streams -= 1
            stream.lose_rest(self.random)


def _begin_of(lane: Any, step: Any) -> Begin:
    base = None if isinstance(step, SendFull) else step.base
    return Begin(
        lane=LaneName(lane.uuid, lane.dataset),
        to_name=step.to.name,
        to_guid=step.to.guid,
        from_guid=base.guid if base else 0,
        raw=lane.raw,
        resumes=isinstance(step, Resume),
        epoch="1-9f3a21cc",
        parent=lane.parent,
    )
