"""Sizes, times and numbers in a sentence, as people read them. Pure."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def render_size(size_bytes: float) -> str:
    """1536 → `1.5 KiB`."""
    unit = 0
    while size_bytes >= 1024 and unit < len(_UNITS) - 1:
        size_bytes, unit = size_bytes / 1024, unit + 1
    return f"{size_bytes:.0f} {_UNITS[0]}" if unit == 0 else f"{size_bytes:.1f} {_UNITS[unit]}"


def render_span(seconds: float) -> str:
    """4000 → `1 h 6 min`, to the two largest units."""
    whole = max(0, round(seconds))
    for size, big, small_size, small in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def count(number: int, thing: str) -> str:
    """`1 dataset`, `2 datasets`, `2 policies`."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"
