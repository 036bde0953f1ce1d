"""Errors that a user can act on: one line with the value, the rule and the remedy."""


class TriadError(Exception):
    """An error with a remedy; the command line prints its text and exits with `exit_code`."""

    exit_code = 20


class OptionsError(TriadError):
    """A spec, an option or an input that cannot be used."""

    exit_code = 12


class DivergedError(OptionsError):
    """A training whose loss became NaN or infinite: its settings do not work."""


class GateError(TriadError):
    """Data or a model that a gate refused: nothing is published."""

    exit_code = 10


class LostRaceError(TriadError):
    """Another run published the same date first."""

    exit_code = 11


class StorageError(TriadError):
    """A file that cannot be read or written: full disk, missing permission, lost connection."""

    exit_code = 20


class DamagedError(StorageError):
    """A file of a result that is missing, or differs from what was written.

    No figure is read from such a result.
    """
