"""Five numbers and what exists → an operation, or None where there is nothing to do it with.

Mostly what a person or zr would do at this moment; now and then what must be refused. Pure: looks
at what was seen, never at the pool.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from zrepl_py.model.history import Bookmark, Snapshot
from zrepl_py.model.observation import Kind

from .looking import Look
from .world import Operation

T = TypeVar("T")
SOURCES = ("a", "b", "c d:e", "a/x", "b/x", "e", "v")
REPLICAS = ("r/a", "r/b", "r/e", "r/v", "q", "r/a/x")
SNAPSHOTS = ("zr_1", "zr_2", "zr_3", "zr_4", "zr_5", "zr_6", "zr_7", "zr_8")
FOREIGN = ("daily", "zr_9")
BOOKMARKS = ("zr_b1", "zr_b2", "zr_b3")
TAGS = ("zr_base_0123abcd", "someone's: tag")
PATHS = ("f", "g", "h i")
BIG_BYTES = 1_500_000
SMALL_SIZES = (0, 1, 700, 5_000, 140_000)
KINDS = ("filesystem", "filesystem", "filesystem", "encrypted", "volume")
CUTS: tuple[str | float | None, ...] = (
    *[None] * 8, "empty", "part", "begin", 0.0, 0.2, 0.5, 0.8, 1.0,
)  # fmt: skip
PROPERTIES = (
    ("compression", "off"),
    ("compression", "zstd"),
    ("compression", ""),
    ("recordsize", "65536"),
    ("readonly", "on"),
    ("readonly", ""),
    ("other:tool", "x"),
)
USER = (
    {"zr:lane": "one"},
    {"zr:lane": "two words: ü", "zr:orig:quota": "-1"},
    {"zr:lane": "", "zr:orig:quota": ""},
    {"zr:placeholder": ""},
    {"readonly": "on"},
    {"zr:lane": "x\n"},
)


def pick(among: Sequence[T], n: int) -> T:
    """One of them; there has to be one."""
    return among[n % len(among)]


class Choices:
    """What can be done with what is seen."""

    def __init__(self, look: Look, streams: Mapping[int, object]) -> None:
        self.look = look
        self.streams = streams
        """By the label of the operation that sent it."""

    # What there is.

    def _dataset(self, n: int) -> str:
        """One that exists; one in 32 does not."""
        names = list(self.look.datasets)
        return pick((*SOURCES, *REPLICAS), n // 32) if n % 32 == 31 or not names else pick(names, n)

    def _new(self, n: int) -> str:
        names = [x for x in (*SOURCES, *REPLICAS) if x not in self.look.datasets]
        return self._dataset(n) if n % 16 == 15 or not names else pick(names, n)

    def _snapshots(self) -> list[str]:
        histories = self.look.histories.items()
        return [f"{dataset}@{s.name}" for dataset, h in histories for s in h.snapshots]

    def _bookmarks(self) -> list[str]:
        histories = self.look.histories.items()
        return [f"{dataset}#{b.name}" for dataset, h in histories for b in h.bookmarks]

    def _snapshot(self, n: int, m: int) -> str:
        names = self._snapshots()
        if n % 16 == 15 or not names:
            return f"{self._dataset(m)}@{pick(SNAPSHOTS, n // 16)}"
        return pick(names, n)

    # The world.

    def create(self, n: int, m: int, *_: int) -> Operation:
        """A new dataset."""
        return {"do": "create", "dataset": self._new(n), "kind": pick(KINDS, m)}

    def destroy(self, n: int, m: int, k: int, *_: int) -> Operation:
        """Of a snapshot, or of a whole dataset."""
        name = self._dataset(n) if k % 3 == 0 else self._snapshot(n, m)
        return {"do": "destroy", "name": name}

    def rename(self, n: int, m: int, *_: int) -> Operation:
        """Of a dataset with all below it."""
        return {"do": "rename", "dataset": self._dataset(n), "to": self._new(m)}

    def clone(self, n: int, m: int, k: int, *_: int) -> Operation:
        """Of any snapshot."""
        return {"do": "clone", "snapshot": self._snapshot(n, k), "to": self._new(m)}

    def promote(self, n: int, m: int, *_: int) -> Operation:
        """Mostly of a clone."""
        clones = [name for name, origin in self.look.origins.items() if origin]
        dataset = pick(clones, n) if clones and m % 8 else self._dataset(n)
        return {"do": "promote", "dataset": dataset}

    def take(self, n: int, m: int, *_: int) -> Operation:
        """A snapshot that is not zr's."""
        return {"do": "take", "snapshot": f"{self._dataset(n)}@{pick(FOREIGN, m)}"}

    def set_property(self, n: int, m: int, *_: int) -> Operation:
        """A property of ZFS."""
        name, value = pick(PROPERTIES, m)
        return {"do": "set", "dataset": self._dataset(n), "property": name, "value": value}

    def key(self, n: int, m: int, *_: int) -> Operation | None:
        """The key of an encrypted dataset comes or goes."""
        names = [name for name, d in self.look.datasets.items() if d.encrypted]
        return {"do": "key", "dataset": pick(names, n), "loaded": bool(m % 2)} if names else None

    def write(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """A file, mostly small."""
        size = BIG_BYTES if p % 4 == 0 else pick(SMALL_SIZES, p)
        replicas = [name for name in self.look.datasets if name.startswith("r/")]
        sources = [name for name in self.look.datasets if not name.startswith("r")]
        among = replicas if k % 8 == 7 else sources if k % 8 else []
        dataset = pick(among, n) if among else self._dataset(n)
        path = pick(PATHS, m)
        return {"do": "write", "dataset": dataset, "path": path, "size": size, "salt": q}

    def change(self, n: int, m: int, k: int, p: int, _: int) -> Operation:
        """A mode, or the end of a file."""
        op: Operation = {"dataset": self._dataset(n), "path": pick(PATHS, m)}
        return {"do": "remove", **op} if k % 2 else {"do": "chmod", **op, "mode": 0o600 + p % 64}

    def read(self, n: int, m: int, *_: int) -> Operation:
        """The content of a snapshot."""
        return {"do": "read", "snapshot": self._snapshot(n, m)}

    # The port, without streams.

    def snapshot(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """Of up to four datasets; since their newest, an older one, one that is gone, or none."""
        names = {self._dataset(n), *(self._dataset(x) for x in (m, k, p)[: q % 4])}
        wanted: dict[str, str | None] = {}
        for number, name in enumerate(sorted(names)):
            history = self.look.histories.get(name)
            known = [s.name for s in history.snapshots] if history else []
            how = (q // 4 + number) % 8
            newest = known[-1] if known else None
            wanted[name] = newest if how < 5 else None if how == 5 else pick(SNAPSHOTS, p + number)
        taken = {s.partition("@")[2] for s in self._snapshots()}
        free = [s for s in SNAPSHOTS if s not in taken] or SNAPSHOTS
        name = pick(SNAPSHOTS, q) if q % 16 == 15 else pick(free, 0)
        return {"do": "snapshot", "datasets": wanted, "name": name}

    def _some(self, names: Sequence[str], *numbers: int) -> list[str]:
        return list(dict.fromkeys(pick(names, n) for n in numbers)) if names else []

    def _held(self) -> list[str]:
        holds = [found for of in self.look.holds.values() for found in of.items()]
        return [self.look.own(snapshot) for snapshot, tags in holds if tags]

    def hold(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """Of up to three snapshots."""
        chosen = list(dict.fromkeys(self._snapshot(x, q) for x in (n, m, k)[: 1 + p % 3]))
        return {"do": "hold", "snapshots": chosen, "tag": pick(TAGS, q)}

    def release(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """Mostly of what is held."""
        names = self._held() or [self._snapshot(n, m)]
        chosen = self._some(names, n, m) if k % 4 else [self._snapshot(n, m)]
        return {"do": "release", "snapshots": chosen, "tag": pick(TAGS, q)}

    def bookmark(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """Of a snapshot or a bookmark; of another dataset now and then."""
        marks = self._bookmarks()
        source = pick(marks, n) if marks and k % 4 == 0 else self._snapshot(n, q)
        dataset = source.replace("#", "@").partition("@")[0]
        if p % 16 == 15:
            dataset = self._dataset(p // 16)
        return {
            "do": "bookmark", "source": source, "bookmark": f"{dataset}#{pick(BOOKMARKS, m)}"
        }  # fmt: skip

    def destroy_snapshots(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """By guids, mostly the right ones."""
        held = self._held() if k % 3 == 0 else []
        first = [pick(held, n)] if held else []
        names = dict.fromkeys([*first, *(self._snapshot(x, q) for x in (n, m, k)[: 1 + p % 3])])
        which = {
            name: "wrong" if (q + number) % 6 == 5 else "right" for number, name in enumerate(names)
        }
        return {"do": "destroy_snapshots", "which": which}

    def destroy_bookmarks(self, n: int, m: int, k: int, p: int, q: int) -> Operation:
        """By guids, mostly the right ones."""
        names = self._bookmarks() if k % 8 else []
        chosen = self._some(names, n, m) or [f"{self._dataset(n)}#{pick(BOOKMARKS, m)}"]
        which = {name: "wrong" if (q + i) % 4 == 3 else "right" for i, name in enumerate(chosen)}
        return {"do": "destroy_bookmarks", "which": which}

    def abort(self, n: int, m: int, k: int, *_: int) -> Operation:
        """Mostly of a partial receive."""
        partial = [name for name, point in self.look.points.items() if point]
        name = pick(partial, n) if partial and k % 8 else self._dataset(n)
        return {"do": "abort", "dataset": name, "of": "its own" if m % 4 else "another"}

    def placeholder(self, n: int, *_: int) -> Operation:
        """At a name that is new, or not."""
        return {"do": "placeholder", "dataset": self._new(n) if n % 4 else f"{self._new(n)}/p"}

    def properties(self, n: int, m: int, *_: int) -> Operation:
        """User properties."""
        return {"do": "properties", "dataset": self._dataset(n), "values": pick(USER, m)}

    def ask(self, n: int, m: int, k: int, *_: int) -> Operation:
        """Of something that may not exist."""
        name = self._dataset(n) if k % 2 else self._new(n)
        return {"do": "ask", "dataset": name, "snapshot": self._snapshot(m, k)}

    # Streams.

    def _cuttable(self, source: str) -> bool:
        """An increment of a volume may be two records only: nothing between them to cut."""
        return self.look.datasets[source].kind is Kind.FILESYSTEM

    def _damage(self, n: int, m: int, cuttable: bool) -> Operation:
        if n % 16 == 15 and cuttable:
            return {"flip": (m % 100) / 100}
        if n % 16 == 14:
            return {"lie": pick(("to", "from", "raw"), m)}
        cut = pick(CUTS, m)
        return {"cut": cut if cuttable or not isinstance(cut, float) else None}

    def _versions(self, source: str) -> list[tuple[str, Snapshot | Bookmark]]:
        history = self.look.histories[source]
        return [
            *((f"{source}@{s.name}", s) for s in history.snapshots),
            *((f"{source}#{b.name}", b) for b in history.bookmarks),
        ]

    def _transfer(self, source: str, base: str | None, target: str, raw: bool) -> Operation:
        return {"do": "transfer", "source": source, "base": base, "target": target, "raw": raw}

    def replicate(self, n: int, m: int, k: int, p: int, q: int) -> Operation | None:
        """What zr would send next: an increment from the newest common version, or all."""
        sources = [
            name for name, h in self.look.histories.items()
            if h.snapshots and not name.startswith("r")
        ]  # fmt: skip
        if not sources:
            return None
        source = pick(sources, n)
        replica = "q" if m % 8 == 7 else "r/" + source.rpartition("/")[2].partition(" ")[0]
        there = self.look.histories.get(replica)
        common = {s.guid for s in there.snapshots} if there else set()
        bases = [(name, v) for name, v in self._versions(source) if v.guid in common]
        base_name, base = max(bases, key=lambda b: b[1].createtxg) if bases else (None, None)
        newer = [
            s for s in self.look.histories[source].snapshots
            if base is None or s.createtxg > base.createtxg
        ] or list(self.look.histories[source].snapshots)  # fmt: skip
        to = pick(newer, k)
        raw = self.look.datasets[source].encrypted and p % 8 != 7
        whole = self._transfer(f"{source}@{to.name}", base_name, f"{replica}@{to.name}", raw)
        return {**whole, **self._damage(p, q, self._cuttable(source))}

    def resume(self, n: int, m: int, k: int, p: int, q: int) -> Operation | None:
        """A partial receive goes on."""
        points = [(name, point) for name, point in self.look.points.items() if point]
        if not points:
            return None
        replica, point = pick(points, n)
        for source in self.look.histories:
            versions = self._versions(source)
            to = [v for name, v in versions if "@" in name and v.guid == point.to_guid]
            bases = [name for name, v in versions if v.guid == point.from_guid]
            if to and (bases or not point.from_guid) and source != replica:
                base = pick(bases, m) if bases else None
                names = f"{source}@{to[0].name}", f"{replica}@{to[0].name}"
                op = self._transfer(names[0], base, names[1], point.raw)
                return {**op, **self._damage(p, q, self._cuttable(source)), "resume": True}
        return None

    def stray(self, n: int, m: int, k: int, p: int, q: int) -> Operation | None:
        """Any snapshot, any base, any target."""
        snapshot = self._snapshot(n, q)
        source = snapshot.partition("@")[0]
        versions = (
            [name for name, _ in self._versions(source)] if source in self.look.histories else []
        )
        everything = self._snapshots() + self._bookmarks()
        at = versions.index(snapshot) if snapshot in versions else 0
        among = versions[:at] if k % 4 and at else versions if k % 8 else everything
        base = pick(among, k // 8) if among and p % 3 else None
        name = snapshot.partition("@")[2] if q % 8 else pick(SNAPSHOTS, q // 8)
        target = self._dataset(m) if p % 2 else self._new(m)
        dataset = self.look.datasets.get(source)
        raw = dataset is not None and dataset.encrypted and q % 3 != 2
        return self._transfer(snapshot, base, f"{target}@{name}", raw)

    def again(self, n: int, m: int, k: int, p: int, q: int) -> Operation | None:
        """A stream of before, which may fit no more."""
        if not self.streams:
            return None
        target = self._dataset(m) if k % 2 else self._new(m)
        names = [s.partition("@")[2] for s in self._snapshots()] or list(SNAPSHOTS)
        op: Operation = {
            "do": "receive",
            "stream": pick(list(self.streams), n),
            "target": f"{target}@{pick(names, p)}",
        }
        return {**op, **self._damage(p, q, False)}
