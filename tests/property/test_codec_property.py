"""decode(T, encode(x)) == x through real JSON, and nothing that does not fit gets through."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.core.codec import decode, encode
from zrepl_py.errors import Corrupt
from zrepl_py.model.history import Bookmark, History, Snapshot, history_of
from zrepl_py.model.observation import Dataset, Kind, ReplicaView, ResumePoint
from zrepl_py.model.plan import AbortPartial, HoldBase, Plan, SendFull, SendIncrement, Skipped, Step
from zrepl_py.model.policy import Keep, Limits, Policy, Selection
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import Begin, Committed, End, Failure, Hello, LaneName

GUID = st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=12)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
SNAPSHOT = st.builds(Snapshot, GUID, GUID, TEXT, GUID)
BOOKMARK = st.builds(Bookmark, GUID, GUID, TEXT, GUID)
HISTORY = st.builds(
    history_of,
    st.lists(SNAPSHOT, max_size=4, unique_by=(lambda s: s.guid, lambda s: s.createtxg)),
    st.lists(BOOKMARK, max_size=3),
)
RESUME = st.builds(ResumePoint, GUID, GUID, GUID, GUID, GUID, st.booleans())
LANE = st.builds(LaneName, TEXT, TEXT)
KEEP = st.builds(Keep, st.none() | st.integers(1), st.none() | st.integers(1))
SELECTION = st.builds(Selection, TEXTS, TEXTS)
STEP = st.one_of(
    st.builds(SendFull, SNAPSHOT),
    st.builds(SendIncrement, SNAPSHOT | BOOKMARK, SNAPSHOT),
    st.builds(AbortPartial, GUID, TEXT),
    st.builds(HoldBase, SNAPSHOT),
)
PLAN = st.builds(
    Plan,
    st.lists(STEP, max_size=3).map(tuple),
    TEXT,
    st.lists(st.builds(Skipped, SNAPSHOT, TEXT), max_size=2).map(tuple),
)
MEMBERS = st.dictionaries(TEXT, GUID, max_size=3)
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (History, HISTORY),
    (Step, STEP),
    (Plan, PLAN),
    (ReplicaView, st.builds(ReplicaView, st.booleans(), HISTORY, st.none() | RESUME)),
    (Dataset, st.builds(Dataset, TEXT, GUID, st.sampled_from(Kind))),
    (Policy, st.builds(Policy, TEXT, TEXT, SELECTION, GUID, TEXTS,
                       st.dictionaries(TEXT, KEEP, max_size=2), st.builds(Limits))),
    (Manifest, st.builds(Manifest, TEXT, GUID, TEXT, GUID, MEMBERS)),
    (Begin | End | Failure, st.one_of(
        st.builds(Begin, LANE, TEXT, GUID, GUID, st.booleans(), st.booleans(), TEXT, GUID),
        st.builds(End, GUID, GUID), st.builds(Failure, TEXT, TEXT, TEXT, TEXT))),
    (Hello, st.builds(Hello, GUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXTS, TEXTS,
                      st.dictionaries(TEXT, TEXTS, max_size=2))),
    (dict[str, Committed] | None, st.none() | st.dictionaries(
        TEXT, st.builds(Committed, GUID, GUID), max_size=2)),
]  # fmt: skip
TYPED = st.sampled_from(VALUES).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(TYPED)
def test_what_was_encoded_comes_back(typed: tuple[Any, Any]) -> None:
    expected, value = typed
    back: Any = decode(expected, json.loads(json.dumps(encode(value))))
    assert back == value


def attempt(expected: Any, value: Any) -> Any:
    try:
        return decode(expected, value)
    except Corrupt as error:
        return error


@given(st.sampled_from([pair[0] for pair in VALUES]), JSON)
def test_any_json_is_the_value_or_corrupt(expected: Any, value: Any) -> None:
    found = attempt(expected, value)
    if isinstance(found, Corrupt):
        assert found.reason == "malformed"
    else:
        assert encode(found) == value


@given(TYPED.filter(lambda typed: typed[1] is not None), TEXT)
def test_a_field_too_many_is_refused(typed: tuple[Any, Any], name: str) -> None:
    expected, value = typed
    encoded = encode(value)
    if isinstance(encoded, dict) and "type" in encoded and name not in encoded:
        assert isinstance(attempt(expected, {**encoded, name: 1}), Corrupt)


@given(TYPED, st.data())
def test_a_wrong_type_is_refused(typed: tuple[Any, Any], draw: st.DataObject) -> None:
    """A bool is no integer, a text is no list: nothing is converted silently."""
    expected, value = typed
    encoded = encode(value)
    if not isinstance(encoded, dict) or "type" not in encoded:
        return
    name = draw.draw(st.sampled_from(sorted(encoded.keys() - {"type"})))
    wrong = {int: True, str: 1, bool: 0, list: "x", dict: []}.get(type(encoded[name]))
    if wrong is not None:
        assert isinstance(attempt(expected, {**encoded, name: wrong}), Corrupt)
