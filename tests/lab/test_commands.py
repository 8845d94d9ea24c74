"""What the service's commands say on two real nodes: status, events, replicate, policy, doctor.

Each finding of the doctor is provoked on the real thing; what is judged of it is tested in
tests/unit/test_doctor.py.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .command import Result
from .conftest import Fresh
from .looks import versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
AUDIO, COPY = "tank/audio", "back/zr/alpha/tank/audio"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/audio; echo first >/tank/audio/interview.wav")
    site.protect([AUDIO + "/**"], every="5s")
    site.start()
    site.settle()
    yield site
    for name, process in list(site.daemons.items()):
        if process.poll() is None:
            site.stop(name)


def doctor(node: Node) -> dict[str, dict[str, Any]]:
    """id → finding."""
    said = node.run(["zr", "doctor", "--json"], check=False).text
    return {finding["id"]: finding for finding in json.loads(said)["findings"]}


def hears(site: Site, node: Node) -> bool:
    facts = site.status(node.name)
    state: str = [*facts["targets"], *facts["sources"]][0]["state"]
    return state == "answers"


def errors(node: Node) -> set[str]:
    return {id for id, finding in doctor(node).items() if finding["level"] == "error"}


def wait_for_health(node: Node) -> dict[str, dict[str, Any]]:
    """Until the doctor finds no error, and what it finds then. On a busy machine a sign of life may
    be late, and for a moment the other node is called silent."""
    deadline = time.monotonic() + 60
    while True:
        found = doctor(node)
        wrong = [finding for finding in found.values() if finding["level"] == "error"]
        if not wrong:
            return found
        assert time.monotonic() < deadline, wrong
        time.sleep(0.5)


# --- snapshot, replicate, status


def test_a_snapshot_by_hand_finds_a_new_dataset_and_says_what_changed(site: Site) -> None:
    alpha = site.lab.alpha
    site.settle()
    alpha.sh("zfs create tank/audio/new; echo new >/tank/audio/new/file")
    said = alpha.run(["zr", "snapshot", "station"]).text
    # A tick of its own may have come in between: it found the new one, or took all of it already.
    changed = (
        r"station/tank: tick \d+(, [12] of 2 datasets had changed|; nothing was written in .*)\."
    )
    assert re.match(changed, said), said
    assert versions(alpha, "tank/audio/new")
    said = alpha.run(["zr", "replicate", "--timeout", "60"]).text
    assert said == "2 datasets are in sync."
    shown = alpha.run(["zr", "status"]).text
    assert shown.startswith("If this node died now, what was written in the last ")
    assert len(re.findall(r"^tank/audio\S* .* beta +in sync$", shown, re.M)) == 2
    assert shown.count("unproven") == 1


def test_replicate_shows_how_far_it_is(site: Site) -> None:
    alpha = site.lab.alpha
    # Whatever of it a tick takes in its midst is slow too: half of it takes thirteen seconds, and
    # as much time is left for what comes before the plan.
    site.lab.degrade(rate="12mbit")
    try:
        alpha.sh("head -c 40M /dev/urandom >/tank/audio/long.wav")
        alpha.run(["zr", "snapshot"])
        plan = alpha.run(["zr", "replicate", "--dry-run"]).text
        on_terminal = "stty cols 120; zr replicate --timeout 120"
        said = alpha.run(["script", "-qec", on_terminal, "/dev/null"], timeout_seconds=150).text
    finally:
        site.lab.heal()
    assert re.match(r"Would send tank/audio to beta: about [234]\d\.\d MiB\.", plan), plan
    bars = re.findall(r"\[([#-]{30})\] +(\d+)%  .*?/s, about .*? left", said)
    shares = [int(share) for _, share in bars]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert 0 < shares[-1] < 100
    assert "tank/audio → beta: in sync, " in said


def test_a_watch_goes_on_over_a_restart_and_ends_with_130(site: Site) -> None:
    alpha = site.lab.alpha
    watch = alpha.start(["env", "--default-signal=INT", "zr", "status", "--watch"])
    site.wait(lambda: watch.output().count(b"If this node died now") > 1, "two looks", 60)
    site.stop("alpha")
    site.wait(lambda: b"does not answer" in watch.output(), "its word of that", 60)
    site.start("alpha")
    seen = watch.output().count(b"If this node died now")
    site.wait(lambda: watch.output().count(b"If this node died now") > seen, "a new look", 60)
    watch.signal(2)
    assert watch.wait(timeout_seconds=60) == 130
    assert watch.output().decode().rstrip().endswith("zr: interrupted; nothing was left half-done.")


# --- events


def test_events_survive_the_daemon_and_a_power_loss(site: Site) -> None:
    beta = site.lab.beta
    site.settle()
    before = beta.run(["zr", "events", "--event", "received", "--json", "-n", "0"]).text
    assert before == ""
    kept = beta.run(["zr", "events", "--event", "received", "--json", "-n", "1"]).text
    beta.run(["sync"])
    beta.crash()
    beta.boot()
    assert kept in beta.run(["zr", "events", "--event", "received", "--json"]).text
    site.start("beta")
    shown = beta.run(["zr", "events", "--since", "1 h ago", "--dataset", AUDIO]).text
    assert f"{AUDIO}@zr_" in shown
    assert shown.splitlines()[-1].endswith("is committed here")


def test_events_say_who_asked(site: Site) -> None:
    site.lab.alpha.run(["zr", "snapshot"])
    said = site.lab.alpha.run(["zr", "events", "--event", "asked", "-n", "1"]).text
    assert said.endswith("root asked for: snapshot")


# --- policies


def test_explain_knows_what_exists(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    said = alpha.run(["zr", "policy", "explain", "tank/audoi"]).text
    assert "is NOT protected: no policy selects it" in said
    assert "Did you mean tank/audio" in said
    assert "is selected by policy station" in beta.run(["zr", "policy", "explain", AUDIO]).text
    assert "never selected" in beta.run(["zr", "policy", "explain", COPY]).text
    shown = json.loads(alpha.run(["zr", "policy", "explain", "--json", AUDIO]).text)
    assert (shown["exists"], shown["protected"]) == (True, True)


def test_names_are_completed(site: Site) -> None:
    words = {"COMP_WORDS": "zr policy explain tank/a", "COMP_CWORD": "3"}
    env = {**words, "_ZR_COMPLETE": "bash_complete"}
    said = site.lab.alpha.run(["zr"], env=env).text
    assert f"plain,{AUDIO}" in said.splitlines()


# --- the doctor


def test_a_healthy_site_has_no_errors(site: Site) -> None:
    site.settle()
    for node in site.lab.nodes.values():  # beta may have been started a moment ago
        site.wait(lambda node=node: hears(site, node), f"{node.name} hears the other one")  # type: ignore[misc]
        found = wait_for_health(node)
        assert "byte-path" in found
        assert "not-looked" not in found


def test_a_failed_disk_is_named(site: Site) -> None:
    alpha = site.lab.alpha
    alpha.sh("zpool offline -f tank /dev/mapper/disk1")
    try:
        finding = doctor(alpha)["disk-failed"]
        assert finding["subject"] == "tank /dev/mapper/disk1"
        assert "FAULTED" in finding["sentence"]
    finally:
        alpha.sh("zpool clear tank /dev/mapper/disk1; zpool online tank /dev/mapper/disk1")
        # A resilver begins by itself a moment later: it refuses a scrub, or takes its place.
        alpha.sh(
            "zpool sync tank; until zpool status tank | grep -q 'scrub repaired'; do\n"
            "zpool wait -t resilver,scrub tank; zpool scrub -w tank || sleep 0.2; done",
            timeout_seconds=120,
        )
    found = doctor(alpha)
    assert "disk-failed" not in found
    assert "never-scrubbed" not in found


def test_a_replica_that_was_touched_is_named(site: Site) -> None:
    beta = site.lab.beta
    beta.sh(f"zfs set mountpoint=/mnt/x {COPY}; zfs set readonly=off {COPY}")  # mounts it
    try:
        assert {"replica-writable", "replica-mounted"} <= doctor(beta).keys()
    finally:
        beta.sh(f"zfs unmount {COPY}; zfs inherit mountpoint {COPY}; zfs inherit readonly {COPY}")
    wait_for_health(beta)


def test_rights_and_the_private_key_are_looked_at(site: Site) -> None:
    beta = site.lab.beta
    beta.sh("zfs unallow -u zr-recv mount back/zr; zfs allow -u zr-recv destroy back/zr")
    beta.sh("chmod 644 /etc/zr/node.key; chmod 666 /etc/zr/zr.toml")
    try:
        found = doctor(beta)
        assert {"rights-missing", "rights-wide", "key-readable", "config-writable"} <= found.keys()
    finally:
        beta.sh("chmod 600 /etc/zr/node.key; chmod 644 /etc/zr/zr.toml")
        for finding in ("rights-missing", "rights-wide"):
            beta.sh(found[finding]["remedy"])
    assert "rights-wide" not in wait_for_health(beta)


def test_another_tools_snapshots_and_a_missing_key_are_named(site: Site) -> None:
    alpha = site.lab.alpha
    alpha.sh(
        "zfs snapshot tank/audio@autosnap_2026-11-21_00:00:00_daily;"
        "head -c 32 /dev/urandom >/root/k; zfs create -o encryption=on -o keyformat=raw"
        " -o keylocation=file:///root/k tank/audio/sealed; zfs unmount tank/audio/sealed;"
        "until zfs unload-key tank/audio/sealed; do sleep 0.2; done; mv /root/k /root/k.away"
    )
    try:
        found = doctor(alpha)
        assert "sanoid" in found["foreign-snapshots"]["sentence"]
        assert {"key-unloaded", "key-file-missing"} <= found.keys()
    finally:
        alpha.sh("zfs destroy tank/audio@autosnap_2026-11-21_00:00:00_daily")
        alpha.sh("mv /root/k.away /root/k; zfs load-key tank/audio/sealed")


def test_a_daemon_that_is_down_and_a_person_without_rights(site: Site) -> None:
    alpha = site.lab.alpha
    result: Result = alpha.run(["zr", "doctor"], user="nobody", check=False)
    assert result.stdout.decode().count("[not-looked]") >= 2
    site.stop("alpha")
    assert errors(alpha) == {"daemon-silent"}
    assert alpha.run(["zr", "doctor"], check=False).returncode == 5
    site.start("alpha")
