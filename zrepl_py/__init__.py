"""zr: continuous ZFS replication and backup. See docs/design/ for the house and its floors."""

__version__ = "0.1.0"
