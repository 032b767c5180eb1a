"""How large a picture may be before anything is allocated for it."""

from ...errors import SignalError

MAX_PIXELS = 2**30  # one gigapixel: 12 GB of float32 RGB; a header that asks for more is refused


def check_pixels(width: int, height: int) -> None:
    """Raises SignalError where a picture has no pixel or more than MAX_PIXELS."""
    if width < 1 or height < 1:
        raise SignalError(f"the picture is {width}x{height}; expected at least 1x1")
    if width * height > MAX_PIXELS:
        raise SignalError(
            f"the picture is {width}x{height}, {width * height / 1e6:.0f} megapixels; expected at most {MAX_PIXELS / 1e6:.0f}, cut it into tiles"
        )
