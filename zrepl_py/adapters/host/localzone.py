"""Which time zone is this machine in, where no policy says the site's?"""

import os
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LINK = "/etc/localtime"


def observe_local_zone() -> ZoneInfo:
    """The zone of TZ, else of /etc/localtime, else UTC."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked_zone()):
        if name:
            try:
                return ZoneInfo(name)
            except (ValueError, OSError, ZoneInfoNotFoundError):
                continue
    return ZoneInfo("UTC")


def _linked_zone() -> str:
    _, _, name = os.path.realpath(_LINK).partition("/zoneinfo/")
    return name
