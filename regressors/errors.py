"""What a caller can get wrong about numbers."""


class DataError(ValueError):
    """The numbers given cannot be fitted or scored; the message says why and what to do."""

    exit_code = 1


class NoHead(DataError):
    """These hyper-parameters give no head; others may."""
