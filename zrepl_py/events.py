"""The vocabulary of events: what zr says it did, for journald, people and tests.

An event is a stable word plus fields that are plain JSON values. docs/reference/events.md explains
each word; a test keeps the two lists equal. Events are for people and scripts; nothing in zr
decides by reading them.
"""

from enum import StrEnum


class Event(StrEnum):
    """Words that appear in the `event` field of the journal of events."""

    DAEMON_STARTED = "daemon-started"
    DAEMON_STOPPED = "daemon-stopped"
    ASKED = "asked"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload-refused"
    TICK_TAKEN = "tick-taken"
    TICK_MISSED = "tick-missed"
    TICK_PAUSED = "tick-paused"
    TICK_RECOVERED = "tick-recovered"
    CLOCK_STEPPED = "clock-stepped"
    PEER_CONNECTED = "peer-connected"
    PEER_LOST = "peer-lost"
    PEER_SILENT = "peer-silent"
    PEER_ANSWERS = "peer-answers"
    PEER_UNPAIRED = "peer-unpaired"
    LANE_COMMITTED = "lane-committed"
    LANE_RESUMED = "lane-resumed"
    LANE_CONFLICT = "lane-conflict"
    LANE_FAILED = "lane-failed"
    LANE_RECOVERED = "lane-recovered"
    SNAPSHOTS_SKIPPED = "snapshots-skipped"
    RECEIVED = "received"
    RECEIVE_REFUSED = "receive-refused"
    RECEIVE_ABORTED = "receive-aborted"
    PRUNED = "pruned"
    PRUNE_FAILED = "prune-failed"
    SNAPSHOTS_GONE = "snapshots-gone"
    RETENTION_ASKS = "retention-asks"
    SPACE_SOON = "space-soon"
    SPACE_THINS = "space-thins"
    SPACE_ENOUGH = "space-enough"
    COPY_PROVEN = "copy-proven"
    COPY_UNPROVEN = "copy-unproven"
    COPY_DAMAGED = "copy-damaged"
    PROOF_FAILED = "proof-failed"
    WORKER_STUCK = "worker-stuck"
    POLICY_LOADED = "policy-loaded"
    DATASET_GONE = "dataset-gone"
    DATASET_REFUSED = "dataset-refused"
