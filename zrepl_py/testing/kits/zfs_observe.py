"""Checks: what is observed, placeholders, user properties."""

from zrepl_py.errors import Bug, Refused, Standing
from zrepl_py.model.observation import Kind
from zrepl_py.model.properties import PLACEHOLDER_PROPERTY
from zrepl_py.testing.kits.zfs_site import (
    Leg,
    ZfsSite,
    guid_of,
    move,
    names_of,
    refused,
    same,
    true,
)
from zrepl_py.testing.kits.zfs_streams import source_of


def check_versions(site: ZfsSite) -> None:
    """Three words, none empty."""
    versions = site.port.observe_versions()
    same(sorted(versions), ["adapter", "kernel", "userland"], "keys")
    true(all(versions.values()), f"something is empty: {versions}")


def check_pool(site: ZfsSite) -> None:
    """A healthy pool with a size, free space, and its own guid."""
    view = site.port.observe_pool(site.pool)
    same((view.name, view.health), (site.pool, "ONLINE"), "name, health")
    true(0 < view.free_bytes <= view.size_bytes, f"sizes are odd: {view}")
    (root, *_) = site.port.observe_datasets(site.pool)
    true(view.guid not in (0, root.guid), "the guid is not the pool's")


def check_listing(site: ZfsSite) -> None:
    """Sorted by name, with kinds and encryption; only what is below the root."""
    top = site.fresh("list")
    site.make_filesystem(top)
    site.make_encrypted(f"{top}/b")
    site.make_volume(f"{top}/c")
    site.make_filesystem(f"{top}/a b")
    site.make_filesystem(f"{top}x")
    seen = site.port.observe_datasets(top)
    expected = [
        (top, Kind.FILESYSTEM, False, True),
        (f"{top}/a b", Kind.FILESYSTEM, False, True),
        (f"{top}/b", Kind.FILESYSTEM, True, True),
        (f"{top}/c", Kind.VOLUME, False, False),
    ]
    same([(d.name, d.kind, d.encrypted, d.mounted) for d in seen], expected, "listing")
    same(len({d.guid for d in seen}), 4, "guids")
    site.set_property(f"{top}/a b", "compression", "off")
    seen = site.port.observe_datasets(top)
    same([d.compressed for d in seen], [True, False, True, True], "compressed")
    for verb in (site.port.observe_datasets, site.port.observe_history):
        with refused(Standing, "dataset-missing"):
            verb(f"{top}/none")
    with refused(Refused, "bad-name"):
        site.port.observe_history(f"{top}@zr_1")


def check_history_is_only_its_own(site: ZfsSite) -> None:
    """Snapshots of children do not show; foreign ones do."""
    top = source_of(site, "own")
    site.make_filesystem(f"{top}/child")
    site.foreign_snapshot(f"{top}/child@x")
    site.foreign_snapshot(f"{top}@daily: 1")
    same(names_of(site, top), ["zr_1", "daily: 1"], "snapshots")


def check_user_properties(site: ZfsSite) -> None:
    """Set, changed and removed; inherited ones do not count."""
    top = site.fresh("props")
    site.make_filesystem(top)
    site.make_filesystem(f"{top}/child")
    port = site.port
    port.set_user_properties([top], {"zr:lane": "x y=z: ü", "zr:orig:quota": "-1"})
    port.set_user_properties([top], {"zr:lane": "-second", "zr:third": "3"})
    port.set_user_properties([top], {"zr:orig:quota": "", "zr:never": ""})
    seen = [d.user_properties for d in port.observe_datasets(top)]
    same(seen, [{"zr:lane": "-second", "zr:third": "3"}, {}], "properties")
    site.set_property(top, "other:tool", "x")
    same("other:tool" in port.observe_datasets(top)[0].user_properties, False, "foreign one seen")
    with refused(Bug, "foreign-property"):
        port.set_user_properties([top], {"other:tool": "y"})
    with refused(Bug, "foreign-property"):
        port.set_user_properties([top], {"readonly": "on"})
    with refused(Standing, "dataset-missing"):
        port.set_user_properties([f"{top}/none"], {"zr:lane": "x"})
    with refused(Standing, "dataset-missing"):
        port.set_user_properties([top, f"{top}/none", f"{top}/child"], {"zr:lane": "x"})
    same([d.user_properties for d in port.observe_datasets(top)], seen, "all or none")
    port.set_user_properties([top, f"{top}/child"], {"zr:third": "", "zr:both": "1"})
    seen = [d.user_properties for d in port.observe_datasets(top)]
    same(seen, [{"zr:lane": "-second", "zr:both": "1"}, {"zr:both": "1"}], "on both")
    port.set_user_properties([], {"zr:lane": "x"})


def check_carried_properties(site: ZfsSite) -> None:
    """Those that belong to the data, where they are set; nothing inherited, nothing of users."""
    top = site.fresh("carried")
    site.make_filesystem(top)
    site.make_filesystem(f"{top}/child")
    site.set_property(top, "compression", "zstd")
    site.set_property(top, "quota", str(1 << 30))
    site.set_property(f"{top}/child", "recordsize", str(65536))
    site.set_property(f"{top}/child", "other:tool", "x")
    port = site.port
    same(port.observe_properties(top).get("compression"), "zstd", "compression")
    same(port.observe_properties(top).get("quota"), str(1 << 30), "quota, in bytes")
    same(port.observe_properties(f"{top}/child"), {"recordsize": "65536"}, "the child's")


def check_placeholder(site: ZfsSite) -> None:
    """Made with its parents, never mounted, again is no error; replicas can stand below it."""
    top = site.fresh("holder")
    port = site.port
    port.create_placeholder(f"{top}/node/home")
    port.create_placeholder(f"{top}/node/home")
    seen = port.observe_datasets(top)
    same([d.name for d in seen], [top, f"{top}/node", f"{top}/node/home"], "made")
    same({d.mounted for d in seen}, {False}, "mounted")
    true(all(d.user_properties.get(PLACEHOLDER_PROPERTY) for d in seen), "not marked as such")
    a = source_of(site, "below")
    replica = f"{top}/node/home/a"
    move(port, Leg(f"{a}@zr_1", f"{replica}@zr_1", guid_of(site, a, "zr_1"))).check()
    same(port.observe_datasets(replica)[0].mounted, False, "mounted")
    port.create_placeholder(a)
    same(names_of(site, a), ["zr_1"], "an existing dataset that is no placeholder")
    with refused(Standing, "dataset-missing"):
        port.create_placeholder("nosuchpool/a/b")
