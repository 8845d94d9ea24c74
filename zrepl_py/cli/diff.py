"""`zr diff FILE|DIR|DATASET@T1 [T2]`: what changed between two times, or since one.

With the caller's own rights: whoever may not read a file or directory does not see what changed in
it, and that is said. Reads only.
"""

from collections.abc import Iterator

import click

from zrepl_py.adapters.host.filepair import FilePair, compare_files, read_whole
from zrepl_py.adapters.host.snapdir import check_regular
from zrepl_py.adapters.host.treepair import Compared, Tree, compare_trees
from zrepl_py.cli.diff_find import find_states, open_file, open_tree
from zrepl_py.cli.diff_say import (
    Compare,
    render_file_json,
    render_pair,
    render_presence,
    render_state,
    render_tree,
    render_tree_json,
    tell_lines,
)
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.restore_find import Found
from zrepl_py.cli.restore_node import observe_config
from zrepl_py.cli.restore_say import show_progress
from zrepl_py.cli.versions import policies_option
from zrepl_py.cli.versions_find import looking
from zrepl_py.cli.versions_say import looks_shown, render_json
from zrepl_py.core.restoring import printable
from zrepl_py.core.textdiff import MAX_BYTES, is_text, render_text_diff
from zrepl_py.core.times import split_target
from zrepl_py.errors import Corrupt, Standing

_TROUBLES_SHOWN = 5


@click.command(
    epilog="Example: zr diff notes.txt@09:15 10:30  (quote times with blanks: "
    '"notes.txt@yesterday 09:15" "10 min ago")'
)
@click.argument("target", metavar="FILE|DIR|DATASET@TIME")
@click.argument("second", metavar="[TIME]", required=False)
@click.option(
    "--context",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Lines of text around each difference.",
)
@click.option("--all", "everything", is_flag=True, help="All of them; else the first 1000.")
@json_option
@policies_option
@config_option
def diff(
    target: str,
    second: str | None,
    context: int,
    everything: bool,
    as_json: bool,
    policies: str,
    config: str,
) -> None:
    """Show what changed in FILE, DIR or DATASET between one TIME and another one, or since then.

    Of texts the lines that differ; of other files sizes, checksums and where they differ first; of
    directories and datasets what was added (+), removed (-), modified (M) and renamed (R). Times as
    for zr restore; without the second one, with how it is now.
    """
    words, moment = split_target(target)
    with looking(moment, policies, observe_config(config)) as look:
        old, new, found = find_states(words, second, look)
        compare = Compare(found.path, found.dataset, found.node, old, new, found.zone)
        if old.stat is None or new.stat is None or old.is_directory != new.is_directory:
            _tell_presence(compare, as_json=as_json)
        elif old.is_directory:
            _diff_trees(compare, found, everything=everything, as_json=as_json)
        else:
            _diff_files(compare, context, as_json=as_json)


def _tell_presence(compare: Compare, *, as_json: bool) -> None:
    if as_json:
        if compare.old.is_directory or compare.new.is_directory:
            click.echo(render_json(render_tree_json(compare, None)))
        else:
            click.echo(render_json(render_file_json(compare, None, None)))
        return
    if compare.old.stat is not None and compare.new.stat is not None:
        was = "a directory" if compare.old.is_directory else "no directory"
        then = render_state(compare.old, compare.zone)
        click.echo(f"{printable(compare.path)} was {was} {then}, and is none of that kind now.")
    for line in render_presence(compare):
        click.echo(line)


def _diff_files(compare: Compare, context: int, *, as_json: bool) -> None:
    shown = compare.path
    for state in (compare.old, compare.new):
        assert state.stat is not None
        check_regular(state.stat, shown)
    total = sum(state.stat.st_size for state in (compare.old, compare.new) if state.stat)
    with open_file(compare.old) as old, open_file(compare.new) as new:
        with show_progress(total, "Comparing") as progress:
            pair = compare_files(old, new, progress)
        lines = list(_lines(compare, pair, old, new, context))
    if as_json:
        click.echo(render_json(render_file_json(compare, pair, lines or None)))
    elif lines:
        tell_lines(lines)
    else:
        for line in render_pair(compare, pair):
            click.echo(line)


def _lines(compare: Compare, pair: FilePair, old: int, new: int, context: int) -> Iterator[str]:
    """A unified diff; none where they are the same, or not both texts."""
    if pair.first_difference is None or max(pair.sizes) > MAX_BYTES:
        return
    contents = [read_whole(fd, MAX_BYTES + 1) for fd in (old, new)]
    if all(is_text(content) for content in contents):
        names = [f"{compare.path}@{state.name}" for state in (compare.old, compare.new)]
        yield from render_text_diff(contents[0], contents[1], names[0], names[1], context)


def _diff_trees(compare: Compare, found: Found, *, everything: bool, as_json: bool) -> None:
    with (
        open_tree(compare.old) as old,
        open_tree(compare.new) as new,
        looks_shown("entries looked at") as progress,
    ):
        trees = (Tree(old, compare.old.name), Tree(new, compare.new.name))
        done = compare_trees(*trees, progress)
    if as_json:
        click.echo(render_json(render_tree_json(compare, done)))
    else:
        for line in render_tree(compare, done, everything=everything):
            click.echo(line)
        for branch in found.branches[1:]:
            click.echo(f"Note: not compared, a dataset of its own: {branch.dataset}.", err=True)
        for path, error in done.troubles[:_TROUBLES_SHOWN]:
            shown = printable("/".join(path)) or "."
            click.echo(f"Note: not compared: {shown}: {error.message}", err=True)
    _raise_for(done)


def _raise_for(done: Compared) -> None:
    """A comparison that is not whole is shown, but the exit code must say so."""
    if not done.troubles:
        return
    worst = next((e for _, e in done.troubles if isinstance(e, Corrupt)), done.troubles[0][1])
    count = len(done.troubles)
    message = f"{count:,} directories could not be compared. {worst.message}"
    if isinstance(worst, Corrupt):
        raise Corrupt("io-error", message, worst.remedy)
    raise Standing("no-rights", message, "Run this as root for all of it.")
