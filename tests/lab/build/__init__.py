"""From Debian packages to a kernel and an image that boot; everything cached.

`ensure_built` answers at once when nothing changed. Each step is cached under a hash of
what it is made from, so that a change of the image does not compile the kernel again.
"""

from .build import Built, ensure_built

__all__ = ["Built", "ensure_built"]
