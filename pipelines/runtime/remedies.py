"""Remedies of system errors, one for each errno."""

import errno

_AGAIN = "then run the same command again"
_REMEDIES = {
    errno.ENOSPC: f"free some space or choose another place, {_AGAIN}",
    errno.EDQUOT: f"free some of your quota or choose another place, {_AGAIN}",
    errno.EFBIG: f"raise the limit on file sizes (ulimit -f), {_AGAIN}",
    errno.EACCES: "give this user the right to it or choose another place",
    errno.EPERM: "give this user the right to it or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "check the path; if it was there before, restore it",
    errno.ENOTDIR: "a part of the path is a file; choose another place",
    errno.EEXIST: "a part of the path is a file; choose another place",
    errno.EISDIR: "a folder is where a file belongs; move it away, or choose another place",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ENXIO: "a pipe or device is where a file belongs; see who put it there",
    errno.ELOOP: "a link is where a file belongs; see who put it there",
}


def remedy(code: int | None) -> str:
    """Returns the remedy that an error message ends with.

    Args:
        code: An errno; None if the error has none.
    """
    return _REMEDIES.get(code or 0, f"see to the cause, {_AGAIN}")
