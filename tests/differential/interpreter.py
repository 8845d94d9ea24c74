"""An operation, as plain data, performed on a world; the outcome in words that both sides share.

Names in operations are below the world's root. `do` is one of
- of the world: create, destroy, rename, clone, take, set, key, write, chmod, remove, read;
- of the port: snapshot, hold, release, bookmark, destroy_snapshots, destroy_bookmarks, transfer,
  receive, abort, placeholder, properties, ask.
What makes no sense any more (a sequence that was shortened) is skipped: decided by what both sides
saw, so both skip it.
"""

import hashlib
import random
from collections.abc import Callable
from typing import Any

from zrepl_py.errors import ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Taken

from .looking import Look
from .transfers import Stream, mangle, receive_whole, send_whole, words_of
from .world import Impossible, Operation, Record, World

DONE, SKIPPED, IMPOSSIBLE = "done", "skipped", "impossible"


class Interpreter:
    """One sequence on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = world.port
        self.look = Look(world)
        self.records: list[Record] = []
        self.why = ""
        self.streams: dict[int, Stream] = {}
        """By the label of the operation that sent it."""

    def perform(self, operation: Operation) -> Record:
        """Perform it, look at everything, and add what was seen to `records`."""
        verb: Callable[[Operation], Any] = getattr(self, "_do_" + operation["do"])
        self.why = ""
        try:
            outcome = verb(operation)
        except ZrError as error:
            outcome = self._words(error)
        except Impossible as error:
            outcome, self.why = IMPOSSIBLE, str(error)
        record = {"outcome": outcome, "seen": self.look.see(), "why": self.why}
        self.records.append(record)
        return record

    def end(self) -> Record:
        """Look at everything once more, whatever the witness says."""
        self.records.append({"outcome": None, "seen": self.look.see(everything=True), "why": ""})
        return self.records[-1]

    def _words(self, error: ZrError) -> list[str]:
        self.why = str(error)
        return words_of(error)

    def _encrypted_above(self, name: str) -> bool:
        parts = name.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return any(self.look.datasets[n].encrypted for n in above if n in self.look.datasets)

    def _mount_above(self, *names: str) -> set[str] | None:
        """Mounted parents, in which a mountpoint appears or goes; None where they are read-only."""
        parents = {name.rpartition("/")[0] for name in names}
        mounted = {name for name in parents if self._mounted(name)}
        return None if any(self._read_only(name) for name in mounted) else mounted

    def _mounted(self, name: str) -> bool:
        dataset = self.look.datasets.get(name)
        return dataset is not None and dataset.mounted

    def _read_only(self, name: str) -> bool:
        while name:
            word = self.look.properties.get(name, {}).get("readonly")
            if word:
                return word == "on"
            name = name.rpartition("/")[0]
        return False

    def _touch(self, names: set[str]) -> None:
        """So that both sides agree that a parent changed, whether a mountpoint was there or not."""
        for name in sorted(names & set(self.look.datasets)):
            content = str(len(self.records)).encode()
            self.world.write(self.look.whole(name), "touched", content)

    # The world.

    def _do_create(self, op: Operation) -> str:
        parents = self._mount_above(op["dataset"])
        if parents is None or self._encrypted_above(op["dataset"]):
            return SKIPPED
        self.world.create(self.look.whole(op["dataset"]), op["kind"])
        self._touch(parents)
        return DONE

    def _do_destroy(self, op: Operation) -> str:
        name = op["name"]
        below = [n for n in self.look.holds if n == name or n.startswith(name + "/")]
        held = any(tags for n in below for tags in self.look.holds[n].values())
        parents = set() if "@" in name else self._mount_above(name)
        if parents is None or held:
            return SKIPPED  # `zfs destroy -r` of what is held would stop half-way
        self.world.destroy(self.look.whole(name))
        self._touch(parents)
        return DONE

    def _do_rename(self, op: Operation) -> str:
        old, new = op["dataset"], op["to"]
        parents = self._mount_above(old, new)
        if old == new:
            return SKIPPED
        if parents is None or self._encrypted_above(old) or self._encrypted_above(new):
            return SKIPPED
        self.world.rename(self.look.whole(old), self.look.whole(new))
        self._touch(parents)
        return DONE

    def _do_clone(self, op: Operation) -> str:
        parents = self._mount_above(op["to"])
        origin = self.look.datasets.get(op["snapshot"].partition("@")[0])
        if parents is None or self._encrypted_above(op["to"]) or (origin and origin.encrypted):
            return SKIPPED  # whose key a clone has is not a question of the port
        self.world.clone(self.look.whole(op["snapshot"]), self.look.whole(op["to"]))
        self._touch(parents)
        return DONE

    def _do_promote(self, op: Operation) -> str:
        if self._read_only(op["dataset"]):
            return SKIPPED
        self.world.promote(self.look.whole(op["dataset"]))
        # Making a clone counts as written where its origin's log (ZIL) was in use, which depends
        # on when the origin's writes came to disk: so it is written to, on both sides.
        self._touch({op["dataset"]})
        return DONE

    def _do_take(self, op: Operation) -> str:
        self.world.take(self.look.whole(op["snapshot"]))
        return DONE

    def _do_set(self, op: Operation) -> str:
        self.world.set_property(self.look.whole(op["dataset"]), op["property"], op["value"])
        return DONE

    def _do_key(self, op: Operation) -> str:
        dataset = self.look.datasets.get(op["dataset"])
        parents = self._mount_above(op["dataset"])
        if dataset is None or not dataset.encrypted or parents is None:
            return SKIPPED
        self.world.load_key(self.look.whole(op["dataset"]), op["loaded"])
        self._touch(parents)
        return DONE

    def _do_write(self, op: Operation) -> str:
        content = random.Random(op["salt"]).randbytes(op["size"])
        self.world.write(self.look.whole(op["dataset"]), op["path"], content)
        return DONE

    def _do_chmod(self, op: Operation) -> str:
        if not self._mounted(op["dataset"]):
            return SKIPPED  # to mount it for the moment can be a change
        self.world.change_mode(self.look.whole(op["dataset"]), op["path"], op["mode"])
        return DONE

    def _do_remove(self, op: Operation) -> str:
        if not self._mounted(op["dataset"]):
            return SKIPPED
        self.world.remove(self.look.whole(op["dataset"]), op["path"])
        return DONE

    def _do_read(self, op: Operation) -> Any:
        files = self.world.read(self.look.whole(op["snapshot"]))
        return {
            path: [mode, len(content), hashlib.sha256(content).hexdigest()[:16]]
            for path, (mode, content) in sorted(files.items())
        }

    # The port.

    def _do_snapshot(self, op: Operation) -> Any:
        wanted = {self.look.whole(d): last for d, last in op["datasets"].items()}
        outcomes = self.port.snapshot_changed(wanted, op["name"])
        words = {}
        for dataset, outcome in sorted(outcomes.items()):
            if not isinstance(outcome, Taken):
                words[self.look.own(dataset)] = type(outcome).__name__.lower()
                continue
            found = self.port.observe_snapshot(f"{dataset}@{op['name']}")
            same = Snapshot(outcome.guid, outcome.createtxg, op["name"], outcome.created_at)
            said = "taken" if found == same else f"taken as {outcome}, found as {found}"
            words[self.look.own(dataset)] = f"{said} {self.look.number(outcome.guid)}"
        return words

    def _do_hold(self, op: Operation) -> str:
        self.port.hold([self.look.whole(s) for s in op["snapshots"]], op["tag"])
        return DONE

    def _do_release(self, op: Operation) -> str:
        self.port.release([self.look.whole(s) for s in op["snapshots"]], op["tag"])
        return DONE

    def _do_bookmark(self, op: Operation) -> str:
        self.port.bookmark(self.look.whole(op["source"]), self.look.whole(op["bookmark"]))
        return DONE

    def _guids(self, which: dict[str, str]) -> dict[str, int]:
        known = self.look.guids
        return {
            self.look.whole(name): known.get(name, 4) ^ (0 if word == "right" else 2)
            for name, word in which.items()
        }

    def _do_destroy_snapshots(self, op: Operation) -> Any:
        outcomes = self.port.destroy_snapshots(self._guids(op["which"]))
        return [[self.look.own(o.name), o.destroyed, o.cause] for o in outcomes]

    def _do_destroy_bookmarks(self, op: Operation) -> Any:
        outcomes = self.port.destroy_bookmarks(self._guids(op["which"]))
        return [[self.look.own(o.name), o.destroyed, o.cause] for o in outcomes]

    def _do_transfer(self, op: Operation) -> Any:
        source, target = op["source"], self.look.whole(op["target"])
        if self._encrypted_above(op["target"].partition("@")[0]):
            return SKIPPED
        resume = None
        if op.get("resume"):
            point = self.port.observe_resume(target.partition("@")[0])
            if point is None:
                return SKIPPED
            resume = (point.object, point.offset)
        base = self.look.whole(op["base"]) if op["base"] else None
        try:
            stream = send_whole(
                self.port, self.look.whole(source), base, raw=op["raw"], resume=resume
            )
        except ZrError as error:
            return {"sent": self._words(error)}
        self.streams[op["label"]] = stream
        return {"sent": self._begin(stream), "received": self._receive(stream, op)}

    def _begin(self, stream: Stream) -> list[Any]:
        begin = stream.begin
        guids = [self.look.number(begin.to_guid), self.look.number(begin.from_guid)]
        return [*guids, "raw" if begin.raw else "", "resumed" if begin.resuming else ""]

    def _do_receive(self, op: Operation) -> Any:
        stream = self.streams.get(op["stream"])
        if stream is None or self._encrypted_above(op["target"].partition("@")[0]):
            return SKIPPED
        return self._receive(stream, op)

    def _receive(self, stream: Stream, op: Operation) -> Any:
        content = mangle(stream, self.world.header_bytes, op.get("cut"), op.get("flip"))
        begin, lie = stream.begin, op.get("lie")
        try:
            receive_whole(
                self.port,
                self.look.whole(op["target"]),
                content,
                to_guid=begin.to_guid ^ (2 if lie == "to" else 0),
                from_guid=begin.from_guid ^ (2 if lie == "from" else 0),
                raw=begin.raw != (lie == "raw"),
            )
        except ZrError as error:
            return self._words(error)
        return DONE

    def _do_abort(self, op: Operation) -> str:
        point = self.look.points.get(op["dataset"])
        guid = point.to_guid if point and op["of"] == "its own" else 6
        self.port.abort_receive(self.look.whole(op["dataset"]), guid)
        return DONE

    def _do_placeholder(self, op: Operation) -> str:
        if self._encrypted_above(op["dataset"]):
            return SKIPPED
        self.port.create_placeholder(self.look.whole(op["dataset"]))
        return DONE

    def _do_properties(self, op: Operation) -> str:
        self.port.set_user_properties((self.look.whole(op["dataset"]),), op["values"])
        return DONE

    def _do_ask(self, op: Operation) -> Any:
        """Every observing verb about one name, which may be of nothing."""
        whole, snapshot = self.look.whole(op["dataset"]), self.look.whole(op["snapshot"])
        found = self._said(lambda: self.port.observe_snapshot(snapshot))
        return [
            self._said(lambda: len(self.port.observe_datasets(whole))),
            self._said(lambda: len(self.port.observe_history(whole).snapshots)),
            self._said(lambda: sorted(self.port.observe_properties(whole))),
            self._said(lambda: self.port.observe_resume(whole) is not None),
            self._said(lambda: self.port.observe_origin(whole) is not None),
            self._said(lambda: len(self.port.observe_holds([snapshot]))),
            [found.name, self.look.number(found.guid)] if isinstance(found, Snapshot) else found,
        ]

    def _said(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ZrError as error:
            return words_of(error)


def run(world: World, operations: list[Operation]) -> list[Record]:
    """The records of a sequence, one for each operation and one at the end."""
    interpreter = Interpreter(world)
    for operation in operations:
        interpreter.perform(operation)
    interpreter.end()
    return interpreter.records
