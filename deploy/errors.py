"""The one error family of this folder.

DeployError            expected; its text says what to do next; the command line shows it without a traceback
|-- DataDirError       the data folder cannot be used as it is
|   `-- DataDirInUse   another Raypit holds it
|-- BinaryError        no PostgreSQL or Valkey that fits
|-- ServiceError       an embedded service did not start
|-- RayError           no Ray could be started or joined
|-- FeedUnusable       no symbols to trade come of --feed
|-- RecordError        a venue cannot be recorded as wished
|-- ImportFailed       files of other programs cannot be read
|-- ReportError        a file is no recording
`-- MigrationError     the schema and the code do not fit together
    `-- UnsafeDatabase the server may forget what it acknowledged
"""


class DeployError(Exception):
    """A failure the operator can mend; the text says how."""


class DataDirError(DeployError):
    pass


class DataDirInUse(DataDirError):
    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid
        """The holder as the lock file tells it; None when it tells nothing."""


class BinaryError(DeployError):
    pass


class ServiceError(DeployError):
    pass


class RayError(DeployError):
    pass


class FeedUnusable(DeployError):
    pass


class MigrationError(DeployError):
    pass


class UnsafeDatabase(MigrationError):
    pass
