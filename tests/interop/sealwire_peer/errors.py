"""What can go wrong, under the names that the protocol page and the vectors use."""


class ProtocolError(Exception):
    """Input that a receiver refuses. `name` is what a vector file calls it."""

    name = "malformed"


class Malformed(ProtocolError):
    name = "malformed"


class Unfollowable(Malformed):
    """A header behind which nobody can tell where the next frame begins (ORDER-3, section 13.2)."""


class TooLarge(ProtocolError):
    name = "too large"


class Undecryptable(ProtocolError):
    name = "undecryptable"


class Truncated(ProtocolError):
    name = "truncated"


class Refused(ProtocolError):
    """A key set or record that must not be used."""

    name = "refused"


class Untrusted(ProtocolError):
    """An identity other than the pinned one."""

    name = "untrusted"


class CannotSend(Exception):
    """The caller asked for something the protocol cannot carry."""


ERROR_NAMES = {
    1: "malformed",
    2: "too large",
    3: "time",
    4: "replay",
    5: "duplicate",
    6: "busy",
    7: "upstream",
    8: "timeout",
    9: "cancelled",
    10: "internal",
    11: "forbidden",
}
ERROR_CODES = {name: code for code, name in ERROR_NAMES.items()}

REJECT_NAMES = {
    1: "version",
    2: "suite",
    3: "key",
    4: "malformed",
    5: "busy",
    6: "too large",
    7: "undecryptable",
}
REJECT_CODES = {name: code for code, name in REJECT_NAMES.items()}
