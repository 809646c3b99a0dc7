"""What can be wrong with a clip's video."""


class VideoFault(ValueError):
    """A video that does not hold what it should; the message says what, the caller adds which."""
