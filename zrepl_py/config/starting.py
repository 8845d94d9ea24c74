"""The first zr.toml and the first policy of a node: texts that `zr init` writes once.

Pure. They are read back by the usual readers before they are written, and belong to the technician
from then on: zr never changes them again, but for the tables of peers.
"""

from collections.abc import Mapping, Sequence

from zrepl_py.config.peers_text import render_key, render_peer

POLICY_NAME = "main"
LISTED = 40


def render_config(
    name: str,
    pools: Sequence[str],
    listen: str | None,
    replicas: str | None,
    peers: Mapping[str, str],
) -> str:
    """The text of zr.toml. `peers`: name → ADDRESS:PORT."""
    lines = ["format = 1", "", "[node]", f'name = "{name}"']
    lines.append(f"pools = {_texts(pools)}")
    if listen:
        lines.append(f'listen = "{listen}"')
    if replicas:
        lines.append(f'replicas = "{replicas}"')
    text = "\n".join(lines) + "\n"
    return text + "".join(f"\n{render_peer(*peer)}" for peer in peers.items())


def render_policy(
    source: str,
    target: str,
    pools: Sequence[str],
    found: Mapping[str, str],
    timezone: str,
) -> str:
    """The starting policy: everything of the pools, every minute. `found`: dataset → its size."""
    return f"""\
# The starting policy of {source}, written once by `zr init`: change it as you like, then look at
# `zr policy check` and type `zr reload`. Every key: docs/formats/policy.md.
format = 1

[policy]
name = "{POLICY_NAME}"
source = "{source}"
# `/**` is the dataset and everything below it, also what is created later. Found at the start:
{_list(found)}
datasets = {_texts([f"{pool}/**" for pool in pools])}
exclude = []                     # what need not be kept, like "{pools[0]}/cache/**"
every = "1m"
targets = ["{target}"]
timezone = "{timezone}"

# What stays where. The newest snapshot, and what replication needs, always stay.
[retention.{render_key(source)}]
keep_last = 60
keep_within = "2d"

[retention.{render_key(target)}]
keep_within = "7d"

[limits]
max_snapshots = 12000
min_free = "10%"
"""


def _list(found: Mapping[str, str]) -> str:
    lines = [f"#   {name}  ({size})" for name, size in list(found.items())[:LISTED]]
    more = len(found) - LISTED
    return "\n".join([*lines, f"#   and {more} more"] if more > 0 else lines or ["#   nothing"])


def _texts(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
