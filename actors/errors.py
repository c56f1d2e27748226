"""What can go wrong between actors.

RaypitError
├── Fenced          a newer incarnation writes this stream: this process must end
├── JournalCorrupt  the journal does not replay to itself: stop and keep everything
├── LinkDown        the peer cannot be reached now; what was asked may be asked again
├── OutcomeUnknown  the peer went away after the command was sent: ask before sending again
└── Refused         the peer understood and said no (code, text)
"""


class RaypitError(Exception):
    pass


class Fenced(RaypitError):
    pass


class JournalCorrupt(RaypitError):
    pass


class LinkDown(RaypitError):
    pass


class OutcomeUnknown(RaypitError):
    pass


class Refused(RaypitError):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
