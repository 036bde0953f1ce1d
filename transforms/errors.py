"""Errors that a user can act on: one line that says what, where and what to do."""


class TriadError(Exception):
    """A refusal with a remedy; the command line prints its text and exits with `exit_code`."""

    exit_code = 20


class OptionsError(TriadError):
    """A spec, an option or an input that cannot be used."""

    exit_code = 12


class DivergedError(OptionsError):
    """A training whose loss is no number any more: its settings do not work."""


class GateError(TriadError):
    """Data or a model that a gate refuses: nothing is published."""

    exit_code = 10


class LostRaceError(TriadError):
    """Another run published the same date first."""

    exit_code = 11


class StorageError(TriadError):
    """A file that cannot be read or written: full disk, missing permission, lost connection."""

    exit_code = 20


class DamagedError(StorageError):
    """A file of a result that is not what was written, or is gone: no figure is taken from it."""
