"""What the soak replicates, how it is set up, and what a booting machine does for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from .command import Process
from .lab import Lab
from .node import Node
from .site import REPLICAS, Site
from .soak_mutants import mutate
from .soak_plan import Writes

KEY_FILE = "/etc/zr-soak.key"
WRITER = Path(__file__).with_name("soak_writer.py").read_text()
KEEP_ALPHA, KEEP_BETA = 30, 40
EVERY = "2s"
RESCAN = "15s"
"""After so long a dataset that is new is noticed (and every cache is refreshed)."""
POLICY = ["tank/audio/**", "tank/secret/**"]
ROOT_OF_KEY = "tank/secret"
VOLUME_BYTES = 16 << 20


@dataclass(frozen=True)
class Pair:
    """A dataset of alpha and its replica on beta."""

    dataset: str
    options: str = ""
    volume: bool = False
    encrypted: bool = False
    born: int = 0
    """The cycle in which it is created."""

    @property
    def replica(self) -> str:
        """Its name on beta."""
        return f"{REPLICAS}/alpha/{self.dataset}"


PAIRS = (
    Pair("tank/audio"),
    Pair("tank/audio/raw takes", "-o recordsize=16k -o xattr=on"),
    Pair("tank/audio/raw takes/day:1", "-o xattr=sa -o acltype=posixacl -o dnodesize=auto"),
    Pair("tank/audio/plain", "-o compression=off"),
    Pair("tank/secret", "", encrypted=True),
    Pair("tank/audio/vol:0", volume=True),
    Pair("tank/audio/later", "-o recordsize=1M", born=3),
    Pair("tank/secret/inner", encrypted=True, born=8),
    Pair("tank/audio/later/vol", volume=True, born=13),
    Pair("tank/audio/latest", "-o compression=zstd", born=60),
)


@dataclass
class World:
    """The lab with the product on it, and what it holds."""

    lab: Lab
    site: Site
    log_folder: Path
    mutant: str = ""
    """A deliberate bug (soak_mutants.py), or none."""
    _read: dict[str, int] = field(default_factory=lambda: {"alpha": 0, "beta": 0})
    said: dict[str, str] = field(default_factory=lambda: {"alpha": "", "beta": ""})
    """All that the daemons of a node said so far."""

    pairs: list[Pair] = field(default_factory=list)
    """Those that exist."""
    aliens: list[tuple[str, str]] = field(default_factory=list)
    """(node, snapshot) that a person took by hand."""

    # --- set up

    def prepare(self) -> None:
        """Datasets, keys, zr's own set-up; the daemons are not started."""
        key = bytes(range(32))
        for node in self.lab.nodes.values():
            node.put(KEY_FILE, key, mode=0o600)
            if self.mutant:
                mutate(node, self.mutant)
        self.bear(0)
        self.site.init()
        for node in self.lab.nodes.values():
            argv = ["sed", "-i", f'/^pools/a rescan = "{RESCAN}"', "/etc/zr/zr.toml"]
            node.run(argv)
        self.site.protect(POLICY, every=EVERY, keep_alpha=KEEP_ALPHA, keep_beta=KEEP_BETA)

    def bear(self, number: int) -> int | None:
        """Create the datasets that exist from this cycle on; index of the newest that is new."""
        known = len(self.pairs)
        for pair in PAIRS[known:]:
            if pair.born > number:
                break
            options = pair.options
            if pair.volume:
                options = f"-s -V {VOLUME_BYTES}"
            if pair.dataset == ROOT_OF_KEY:
                options = f"-o encryption=on -o keyformat=raw -o keylocation=file://{KEY_FILE}"
            self.lab.alpha.sh(f"zfs create {options} '{pair.dataset}'")
            self.pairs.append(pair)
        return len(self.pairs) - 1 if len(self.pairs) > known else None

    def take_alien(self, node: str, index: int, number: int) -> None:
        """A person takes a snapshot by hand, and it is nobody else's business."""
        pair = self.pairs[index]
        if pair.encrypted:
            node = "alpha"  # on an encrypted replica it is a conflict, which a person ends
        dataset = pair.dataset if node == "alpha" else pair.replica
        snapshot = f"{dataset}@by-hand-{number}"
        if self.lab.nodes[node].run(["zfs", "snapshot", snapshot], check=False).returncode == 0:
            self.aliens.append((node, snapshot))

    def boot(self, name: str) -> None:
        """Boot a node that is off, as far as a real one does by itself: the key is a file, so
        zfs-load-key and zfs-mount bring the encrypted dataset back."""
        node = self.lab.nodes[name]
        node.boot()
        if self.mutant:
            mutate(node, self.mutant)
        if name == "alpha":
            node.sh("zfs load-key -a && zfs mount -a")

    # --- writing

    def begin_writes(self, writes: Writes, seconds: float) -> Process | None:
        """Let alpha write in the background."""
        if not writes.places:
            return None
        targets = [self._place(self.pairs[index]) for index in writes.places]
        big = [self._place(self.pairs[index]) for index in writes.big]
        argv = ["python3", "-c", WRITER, writes.seed, str(writes.operations), str(seconds)]
        return self.lab.alpha.start([*argv, json.dumps(targets), json.dumps(big)])

    def _place(self, pair: Pair) -> str:
        return self.device(pair.dataset) if pair.volume else f"/{pair.dataset}"

    def device(self, dataset: str) -> str:
        """The block device of a volume of alpha; udev's links are not needed for that."""
        ask = (
            "import fcntl,glob,sys\n"
            "for d in sorted(glob.glob('/dev/zd*')):\n"
            " with open(d,'rb') as f:\n"
            "  n=fcntl.ioctl(f,0x8100127d,bytes(256)).split(b'\\0')[0].decode()\n"
            "  if n==sys.argv[1]: print(d)\n"
        )
        return self.lab.alpha.run(["python3", "-c", ask, dataset]).text.splitlines()[0]

    # --- the daemons' words

    def listen(self, *names: str) -> None:
        """Read what the daemons said since last time; a node that is off has nothing to say."""
        for name in names or ("alpha", "beta"):
            process = self.site.daemons.get(name)
            if process is None or not self.lab.nodes[name].is_running():
                continue
            octets = process.stderr(self._read[name])
            self._read[name] += len(octets)
            self._note(name, octets.decode(errors="replace"))

    def start_daemon(self, name: str) -> None:
        """Start it, as a unit with Restart=always would."""
        self._note(name, f"--- {name}'s daemon is started\n")
        self._read[name] = 0
        self.site.start(name)

    def _note(self, name: str, text: str) -> None:
        self.said[name] += text
        with (self.log_folder / f"{name}.log").open("a") as file:
            file.write(text)

    def events(self, name: str) -> list[dict[str, object]]:
        """What a node's daemons told, as far as it was read."""
        lines = (line for line in self.said[name].splitlines() if line.startswith("{"))
        events = []
        for line in lines:
            try:
                events.append(json.loads(line))
            except ValueError:
                continue  # cut off by a crash
        return events


def descendants(node: Node, pid: int) -> dict[int, list[str]]:
    """Processes below `pid` (and itself) → their command lines."""
    ask = (
        "import json,os,sys\n"
        "parent={};argv={}\n"
        "for p in os.listdir('/proc'):\n"
        " if p.isdigit():\n"
        "  try:\n"
        "   s=open(f'/proc/{p}/stat').read();parent[int(p)]=int(s.rsplit(')',1)[1].split()[1])\n"
        "   argv[int(p)]=open(f'/proc/{p}/cmdline').read().split('\\0')[:-1]\n"
        "  except OSError: pass\n"
        "found={int(sys.argv[1])}\n"
        "while True:\n"
        " more={p for p,q in parent.items() if q in found}-found\n"
        " if not more: break\n"
        " found|=more\n"
        "print(json.dumps({p:argv[p] for p in found if p in argv}))\n"
    )
    said = node.run(["python3", "-c", ask, str(pid)]).text
    return {int(p): argv for p, argv in json.loads(said).items()}
