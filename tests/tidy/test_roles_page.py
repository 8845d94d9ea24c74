"""Does docs/design/roles.md show the table that the node decides by?

`.venv/bin/python -m tests.tidy.test_roles_page` writes it anew.
"""

from zrepl_py.core.role_page import BEGIN, END, render_page
from zrepl_py.core.roles import TABLE
from zrepl_py.model.roles import Refuse

from .test_house import ROOT

PAGE = ROOT / "docs/design/roles.md"


def test_the_page_shows_the_table_as_it_is() -> None:
    text = PAGE.read_text()
    assert text.split(BEGIN)[1].split(END)[0].strip() == render_page().strip()


def test_one_reason_has_one_kind() -> None:
    """A script that meets a reason in two places may treat both alike."""
    kinds: dict[str, set[type]] = {}
    for row in TABLE:
        if isinstance(row.outcome, Refuse):
            refusal = row.outcome.refusal
            kinds.setdefault(refusal.reason, set()).add(refusal.kind)
    assert [reason for reason, those in kinds.items() if len(those) > 1] == []


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{render_page()}\n{END}{rest.split(END)[1]}")
