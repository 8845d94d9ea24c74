"""Fills the file system below a folder but for so many bytes, with what does not compress."""

import os
import sys


def main(folder: str, leave_bytes: int) -> None:
    # One block again and again: ZFS compresses within a record only, and random bytes
    # are slow to make.
    block = os.urandom(1 << 20)
    file = os.open(f"{folder}/lab-fill", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    size = len(block)
    while size >= 512:
        room = os.statvfs(folder)
        if leave_bytes and room.f_bavail * room.f_frsize <= leave_bytes:
            break
        try:
            os.write(file, block[:size])
        except OSError:
            size //= 2
    os.close(file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
