"""Looking at this machine for `zr doctor`, `zr policy explain` and progress bars: read only.

Commands and files, never the daemon's workers: what is wrong may be just them. Every look has a
deadline, for a pool that is suspended may hang it.
"""
