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
