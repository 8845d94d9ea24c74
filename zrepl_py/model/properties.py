"""Properties that belong to the data. libzfs_core's streams carry none, so these travel beside the
stream and are stored on the replica as `zr:orig:<name>`, never applied there (a replica that took
over `mountpoint` would shadow the living system: zrepl's documentation calls it devastating)."""

CARRIED = (
    "aclinherit",
    "aclmode",
    "acltype",
    "atime",
    "canmount",
    "casesensitivity",
    "checksum",
    "compression",
    "copies",
    "dedup",
    "devices",
    "dnodesize",
    "exec",
    "logbias",
    "mountpoint",
    "normalization",
    "primarycache",
    "quota",
    "readonly",
    "recordsize",
    "refquota",
    "refreservation",
    "relatime",
    "reservation",
    "secondarycache",
    "setuid",
    "snapdir",
    "sync",
    "utf8only",
    "volblocksize",
    "volmode",
    "xattr",
)

ORIGINAL_PREFIX = "zr:orig:"
LANE_PROPERTY = "zr:lane"
PLACEHOLDER_PROPERTY = "zr:placeholder"
CLONED_PROPERTY = "zr:cloned"
"""On a clone, `GUID:BYTES`: what it counts as written since that snapshot although nothing was. A
snapshot that was taken beside a live intent log has its header; ZFS resets that in the clone, which
is one block (10,912 bytes on raidz1, OpenZFS 2.3.9). It still takes an increment: receiving knows
that only the log's header differs (dsl_dataset_modified_since_snap)."""
EPOCH_PROPERTY = "zr:epoch"
"""On a member of a group with roles: the newest epoch that this node took with it, and for which it
was brought to the tick that is presented."""


def count_own(written_bytes: int, cloned: str, base: int) -> int:
    """Of what ZFS counts as written since the snapshot of guid `base`, what somebody wrote: nothing
    where CLONED_PROPERTY's value, `cloned`, says that making the clone wrote as much."""
    return 0 if cloned == f"{base}:{written_bytes}" else written_bytes
