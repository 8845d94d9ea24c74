"""Who is known to have which snapshots: asked over real TLS, or by what this node remembers."""

from pathlib import Path
from zoneinfo import ZoneInfo

from zrepl_py.adapters.host.catalogcache import Listed
from zrepl_py.adapters.host.snapshotlist import Catalog
from zrepl_py.adapters.host.timeline import Store
from zrepl_py.adapters.peer.certificates import Identity, ensure_identity
from zrepl_py.cli.versions_find import Subject
from zrepl_py.cli.versions_peers import PeerAnswers, observe_holders
from zrepl_py.core.whereabouts import Holder, Known
from zrepl_py.model.config import Endpoint, NodeConfig, PeerConfig

from .peer_support import BETA, Site
from .test_peer_fetch import NAME, Shelf, serving

STORE = Store("tank/a", "/tank/a")
SUBJECT = Subject(STORE, "tank/a", "", "/tank/a/f", ("f",), ZoneInfo("UTC"))
CATALOG = Catalog((Listed(NAME, 7), Listed("by hand", 8)), ((BETA.short, 8),))


def node_with(certificate: str) -> NodeConfig:
    peer = PeerConfig("beta", Endpoint("10.77.0.2", 7676), certificate)
    return NodeConfig(1, "alpha", ("tank",), peers={"beta": peer})


def told(holders: list[Holder]) -> list[tuple[str, Known, set[int]]]:
    return [(h.node, h.known, set(h.guids)) for h in holders]


def test_a_target_is_named_by_its_certificate(tmp_path: Path) -> None:
    ensure_identity(Identity(certificate=tmp_path / "pem", key=tmp_path / "key"), BETA)
    silent = PeerAnswers(False, "/nonexistent")
    holders = observe_holders(SUBJECT, CATALOG, node_with(str(tmp_path / "pem")), silent)
    assert told(holders) == [
        ("alpha", Known.HERE, {7, 8}),
        ("beta", Known.ACKNOWLEDGED, {8}),
    ]
    unknown = observe_holders(SUBJECT, CATALOG, node_with("/nonexistent"), silent)
    assert unknown[1].node == f"the node {BETA.short}"


def test_who_does_not_answer_has_only_what_it_acknowledged(tmp_path: Path) -> None:
    ensure_identity(Identity(certificate=tmp_path / "pem", key=tmp_path / "key"), BETA)
    answers = PeerAnswers(True, "/nonexistent", troubles={"beta": "no way"}, asked=("beta",))
    holders = observe_holders(SUBJECT, CATALOG, node_with(str(tmp_path / "pem")), answers)
    assert told(holders)[1] == ("beta", Known.SILENT, {8})
    assert holders[1].trouble == "no way"


def test_who_is_asked_names_its_snapshots(tmp_path: Path) -> None:
    ensure_identity(Identity(certificate=tmp_path / "pem", key=tmp_path / "key"), BETA)
    with serving(Site(tmp_path), Shelf()) as fetcher:
        answers = PeerAnswers(True, "/nonexistent", asked=("beta",))
        answers.hear(fetcher, "tank/a")
    holders = observe_holders(SUBJECT, CATALOG, node_with(str(tmp_path / "pem")), answers)
    assert told(holders)[1] == ("beta", Known.ASKED, {7})
    other = Subject(STORE, "tank/b", "", "/tank/b/f", ("f",), ZoneInfo("UTC"))
    assert told(observe_holders(other, CATALOG, None, answers))[1] == ("beta", Known.ASKED, set())


def test_a_replica_s_source_is_not_claimed_to_have_anything() -> None:
    subject = Subject(
        Store("back/zr/alpha/tank/a", None), "tank/a", "alpha", "/f", ("f",), ZoneInfo("UTC")
    )
    holders = observe_holders(subject, CATALOG, None, PeerAnswers(True, "/nonexistent"))
    assert [h.known for h in holders] == [Known.HERE]
