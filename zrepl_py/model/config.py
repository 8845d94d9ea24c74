"""What /etc/zr/zr.toml says: one node's own settings. docs/formats/node-config.md explains them."""

from dataclasses import dataclass, field

from zrepl_py.model.host import Hosting


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens or is reached."""

    host: str
    """An address or a host's name; IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """Another node: where it is, and the certificate by which it is known."""

    name: str
    endpoint: Endpoint
    certificate: str
    """Path of the peer's certificate (PEM); nothing else is trusted."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """How much of the link zr may use, per peer."""

    streams: int = 4
    """Data connections, so datasets in flight at once."""
    connect_seconds: int = 10
    stall_seconds: int = 60
    """A connection on which nothing moved for so long is given up, and tried again."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Sockets of the workers of a pool."""

    zfs: str
    receive: str
    proof: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class ProofLimits:
    """When copies are proven, and how fast they are read."""

    verify_seconds: int | None = 7 * 86_400
    """Each copy is read and compared after so long; None: never by itself."""
    drill_seconds: int | None = 30 * 86_400
    """Each copy is restored and compared after so long."""
    begin_hour: int = 1
    """Drills begin in these hours, by the site's clock: from `begin_hour` to before `end_hour`."""
    end_hour: int = 5
    rate_bytes: int = 20 << 20
    """Bytes of content read per second, on each side."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node's settings."""

    format: int
    name: str
    pools: tuple[str, ...]
    """Pools that zr works on; it touches no other."""
    listen: Endpoint | None = None
    """None: this node takes no connections."""
    replica_parent: str | None = None
    """The dataset below which replicas of other nodes live; None: this node keeps none."""
    peers: dict[str, PeerConfig] = field(default_factory=dict)
    """Node's name → how to reach it."""
    workers: dict[str, Workers] = field(default_factory=dict)
    """Every pool of `pools` → its workers' sockets."""
    state_dir: str = "/var/lib/zr"
    run_dir: str = "/run/zr"
    policy_dir: str = "/etc/zr/policies"
    key: str = "/etc/zr/node.key"
    """Path of this node's private key (PEM)."""
    certificate: str = "/etc/zr/node.pem"
    rescan_seconds: int = 300
    """After so long the pools are observed again, whatever is remembered."""
    link: LinkLimits = LinkLimits()
    proof: ProofLimits = ProofLimits()
    health: Endpoint | None = None
    """Where load balancers ask who is primary; None: nowhere."""
    roles: dict[str, Hosting] = field(default_factory=dict)
    """Group → the services and the address that follow its primary."""
    origin: str = ""
    """The file it came from, for messages."""

    @property
    def receiving_pools(self) -> tuple[str, ...]:
        """Pools with a receive worker. With roles all: a primary that has handed over follows."""
        if self.roles:
            return self.pools
        return (self.replica_parent.split("/")[0],) if self.replica_parent else ()
