"""16-bit pictures through FFmpeg, which keeps the depth that Pillow would halve."""

import av
import numpy as np
import numpy.typing as npt

from ...errors import SignalError


def decoded_by_av(file: bytes, codec: str, shape: tuple[int, int, int]) -> npt.NDArray[np.uint16]:
    """The 16-bit picture `[H, W, C]` in `file`."""
    decoder = av.CodecContext.create(codec, "r")
    if not isinstance(decoder, av.VideoCodecContext):
        raise SignalError(f"this build of FFmpeg cannot read {codec}; install the av package from PyPI")
    frames = decoder.decode(av.Packet(file)) or decoder.decode(None)
    frame = frames[0]
    height, width, channels = shape
    if not isinstance(frame, av.VideoFrame) or (frame.height, frame.width) != (height, width):
        raise SignalError("the picture is damaged: its size changes inside; copy or download it again")
    wanted = {1: "gray16", 2: "ya16", 3: "rgb48", 4: "rgba64"}[channels]
    if frame.format.name not in (wanted + "le", wanted + "be"):
        raise SignalError(f"the picture decodes to {frame.format.name}; expected {wanted}, convert it to PNG first")
    plane = frame.planes[0]
    dtype = np.dtype(">u2" if frame.format.name.endswith("be") else "<u2")
    rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // 2)
    samples: npt.NDArray[np.uint16] = rows[:height, : width * channels].astype(np.uint16).reshape(shape)
    return samples
