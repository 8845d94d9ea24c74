"""What a worker may be asked: every verb and every argument is classified, the rest is refused."""

from typing import Any

import pytest

from zrepl_py.adapters.worker.verbs import ALLOWED, VERBS, Scope, WorkerKind, pool_of
from zrepl_py.core.codec import encode
from zrepl_py.errors import Corrupt, Refused

ZFS = Scope(WorkerKind.ZFS, "tank")
RECEIVE = Scope(WorkerKind.RECEIVE, "tank")
PROOF = Scope(WorkerKind.PROOF, "tank")
HOST = Scope(WorkerKind.HOST, "tank")
POSITION = {"type": "Position", "path": ".", "done": 0, "chain": "0" * 64}
ORDER = {
    "type": "ScratchOrder",
    "dataset": "tank/zr-restore-drills/zr-restore-1",
    "mark": "m",
    "snapshot": "zr_1",
    "guid": 7,
    "raw": False,
    "volume": False,
    "properties": {"acltype": "posix"},
}

GOOD: dict[str, dict[str, Any]] = {
    "observe_versions": {},
    "observe_pool": {"pool": "tank"},
    "observe_datasets": {"root": "tank/a"},
    "observe_history": {"dataset": "tank/a"},
    "observe_snapshot": {"snapshot": "tank/a@s"},
    "observe_resume": {"dataset": "tank/a"},
    "observe_holds": {"snapshots": ["tank/a@s"]},
    "observe_dependents": {"snapshots": ["tank/a@s"]},
    "observe_properties": {"dataset": "tank"},
    "observe_origin": {"dataset": "tank/a"},
    "snapshot_changed": {"datasets": {"tank/a": None, "tank/b": "zr_1"}, "name": "zr_2"},
    "hold": {"snapshots": ["tank/a@s", "tank/b@s"], "tag": "zr_base_1"},
    "release": {"snapshots": ["tank/a@s"], "tag": "zr_base_1"},
    "bookmark": {"source": "tank/a@s", "bookmark": "tank/a#b"},
    "destroy_snapshots": {"snapshots": {"tank/a@zr_1": 7}},
    "destroy_bookmarks": {"bookmarks": {"tank/a#zr_1": 7}},
    "send": {"snapshot": "tank/a@s", "base": "tank/a#b", "raw": False, "resume": [1, 2]},
    "receive": {
        "snapshot": "tank/a@s",
        "to_guid": 1,
        "from_guid": 2,
        "raw": True,
        "origin": "tank/b@s",
    },
    "abort_receive": {"dataset": "tank/a", "to_guid": 1},
    "create_placeholder": {"dataset": "tank/a"},
    "set_user_properties": {"datasets": ["tank/a"], "values": {"zr:x": "", "zr:y": "1"}},
    "read_page": {
        "snapshot": "tank/a@s",
        "guid": 7,
        "after": POSITION,
        "form": "tree",
        "acls": True,
        "listed": False,
    },
    "let_go": {"snapshot": "tank/a@s"},
    "observe_bytes": {"snapshot": "tank/a@s"},
    "observe_scratch_properties": {"dataset": "tank/a"},
    "observe_scratch": {"pool": "tank"},
    "receive_scratch": {"pool": "tank", "order": ORDER},
    "destroy_scratch": {"dataset": "tank/zr-restore-drills/zr-restore-1", "mark": "m"},
    "observe_mounts": {"datasets": ["tank/a", "tank/b"]},
    "observe_objsets": {"pool": "tank"},
    "observe_holders": {"datasets": ["tank/a"]},
    "observe_volumes": {"datasets": ["tank/v"]},
    "end_holders": {
        "datasets": ["tank/a"],
        "processes": [{"type": "Process", "pid": 7, "start_ticks": 100}],
        "patience_seconds": 10.0,
    },
    "unmount_everywhere": {"datasets": ["tank/a"]},
    "apply_readonly": {"datasets": ["tank/a"], "readonly": True},
    "replay_logs": {"datasets": ["tank/a"]},
    "write_markers": {"datasets": ["tank/a"], "text": "2/abc"},
    "read_markers": {"datasets": ["tank/a"]},
    "observe_service": {"group": "radio", "service": "player"},
    "start_service": {"group": "radio", "service": "player"},
    "stop_service": {"group": "radio", "service": "player"},
    "observe_address": {"group": "radio"},
    "add_address": {"group": "radio"},
    "announce_address": {"group": "radio"},
    "remove_address": {"group": "radio"},
    "observe_tree": {"root": "tank/a"},
    "observe_trees": {"roots": ["tank/a", "tank/zr-rescue"]},
    "observe_histories": {"datasets": ["tank/a", "tank/b"]},
    "observe_written": {"since": {"tank/a": 7}},
    "snapshot_tree": {"root": "tank/a", "name": "zr-rescue_1"},
    "rename": {"dataset": "tank/a", "guid": 7, "new": "tank/zr-rescue/x/a"},
    "clone": {"snapshot": "tank/a@s", "guid": 7, "dataset": "tank/b"},
    "promote": {"dataset": "tank/a", "guid": 7},
    "copy_properties": {"source": "tank/a", "dataset": "tank/b", "guid": 7},
    "restore_properties": {"datasets": {"tank/a": 7}},
    "set_gate": {"datasets": {"tank/a": 7}, "values": {"canmount": "noauto", "readonly": "on"}},
    "mount": {"datasets": {"tank/a": 7}},
    "check_mountable": {"paths": {"tank/a": "/audio"}},
    "unmount": {"dataset": "tank/a", "guid": 7},
    "load_key": {"dataset": "tank/a", "guid": 7},
    "observe_receive_right": {"parent": "tank/a"},
    "allow_receive": {"parent": "tank/a"},
    "forbid_receive": {"parent": "tank/a"},
    "drop_rescue": {"dataset": "tank/zr-rescue/x/a", "guid": 7},
}


def parse(scope: Scope, verb: str, args: Any) -> dict[str, Any]:
    return scope.parse_call(verb, args, has_fd=VERBS[verb].takes_fd)


def test_every_verb_has_a_sample_here() -> None:
    assert GOOD.keys() == VERBS.keys()


def test_each_kind_serves_its_list_only() -> None:
    for verb, args in GOOD.items():
        for scope in (ZFS, RECEIVE, PROOF, HOST):
            if verb in ALLOWED[scope.kind]:
                assert encode(parse(scope, verb, args)) == args
            else:
                with pytest.raises(Refused, match="does not serve") as caught:
                    parse(scope, verb, args)
                assert caught.value.reason == "worker-forbidden"
    assert ALLOWED[WorkerKind.RECEIVE] == {"receive"}
    assert "receive" not in ALLOWED[WorkerKind.ZFS]


def foreign(value: Any) -> Any:
    """The same argument, naming another pool."""
    if isinstance(value, str):
        return value.replace("tank", "other")
    if isinstance(value, dict):
        return {foreign(k): v for k, v in value.items()}
    return [foreign(v) for v in value]


NAMES = [
    (verb, parameter)
    for verb, args in GOOD.items()
    for parameter, value in args.items()
    if "tank" in str(value) and parameter != "order"
]


@pytest.mark.parametrize(("verb", "parameter"), NAMES)
def test_no_argument_may_name_another_pool(verb: str, parameter: str) -> None:
    scope = next(s for s in (ZFS, RECEIVE, PROOF, HOST) if verb in ALLOWED[s.kind])
    bad = {**GOOD[verb], parameter: foreign(GOOD[verb][parameter])}
    with pytest.raises(Refused, match="not of the pool"):
        parse(scope, verb, bad)


@pytest.mark.parametrize("dataset", ["other/zr-restore-drills/zr-restore-1", "tank/a@b", "tank/.."])
def test_a_scratch_dataset_is_of_the_workers_pool(dataset: str) -> None:
    with pytest.raises(Refused):
        parse(PROOF, "receive_scratch", {"pool": "tank", "order": {**ORDER, "dataset": dataset}})


@pytest.mark.parametrize(
    "name",
    [
        "tankx/a",
        "tank2",
        "",
        "/tank",
        "tank/",
        "tank/../other",
        "tank/a%b",
        "tank//a",
        "-r",
        "tank/a@",
    ],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Refused):
        parse(ZFS, "observe_datasets", {"root": name})


@pytest.mark.parametrize(
    "name", ["tank/a@b@c", "tank/a@b#c", "tank/a@b/c", "tank/a@b%c", "tank/a@b,c"]
)
def test_snapshots_that_are_none(name: str) -> None:
    with pytest.raises(Refused):
        parse(ZFS, "hold", {"snapshots": ["tank/a@s", name], "tag": "t"})


def test_plain_values_that_are_checked() -> None:
    for verb, change in (
        ("snapshot_changed", {"name": "a/b"}),
        ("snapshot_changed", {"datasets": {"tank/a": "x@y"}}),
        ("hold", {"tag": "a@b"}),
        ("set_user_properties", {"values": {"mountpoint": "/etc"}}),
    ):
        with pytest.raises(Refused):
            parse(ZFS, verb, {**GOOD[verb], **change})


@pytest.mark.parametrize("key", ["mountpoint", "zr:lane", "sharenfs"])
def test_of_properties_only_the_gate_is_set_from_outside(key: str) -> None:
    with pytest.raises(Refused):
        parse(HOST, "set_gate", {**GOOD["set_gate"], "values": {key: "on"}})


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("observe_pool", None),
        ("observe_pool", {}),
        ("observe_pool", {"pool": "tank", "force": True}),
        ("observe_pool", {"pool": 7}),
        ("hold", {"snapshots": "tank/a@s", "tag": "t"}),
        ("destroy_snapshots", {"snapshots": {"tank/a@zr_1": True}}),
        ("send", {"snapshot": "tank/a@s", "base": None, "raw": 1, "resume": None}),
        ("send", {"snapshot": "tank/a@s", "base": None, "raw": True, "resume": [1]}),
    ],
)
def test_arguments_that_do_not_fit_are_malformed(verb: str, args: Any) -> None:
    with pytest.raises(Corrupt) as caught:
        parse(ZFS, verb, args)
    assert caught.value.reason == "malformed"


def test_descriptors_come_with_streams_only() -> None:
    for verb in ("send", "observe_pool"):
        with pytest.raises(Corrupt):
            ZFS.parse_call(verb, GOOD[verb], has_fd=not VERBS[verb].takes_fd)


def test_pool_of() -> None:
    assert {pool_of(n) for n in ("tank", "tank/a", "tank@s", "tank#b", "tank/a@s")} == {"tank"}
