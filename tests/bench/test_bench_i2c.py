"""What the benchmark says of an i2c file is what encode and verify say of it."""

import numpy as np
import pytest
from sounds import RATE, chord

from i2compress.bench import i2c
from i2compress.bench.audio import snr
from i2compress.bench.codec import Sound, Work
from i2compress.bench.image import psnr_rgb
from i2compress.codec import I2File
from i2compress.kinds import Kind
from i2compress.signal import Signal

WORK = Work(quality=50, steps=8, threads=1, device="cpu")


def test_the_psnr_of_a_picture_is_its_score() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    data = i2c.PICTURE.encode(picture, WORK).data
    score = I2File.from_bytes(data).score(Signal.from_codes(picture))
    assert psnr_rgb(picture, i2c.PICTURE.decode(data, 1)) == pytest.approx(score["psnr"], abs=1e-9)


@pytest.mark.parametrize("codec", i2c.SOUNDS, ids=lambda codec: codec.name)
def test_the_snr_of_a_sound_is_its_score(codec: i2c.Codec) -> None:
    values = chord(0.3)
    sound = Sound(values=values.astype(np.float64), rate=RATE, bit_depth=16, floating=False)
    data = codec.encode(sound, WORK).data
    score = I2File.from_bytes(data).score(Signal(values=values, kind=Kind.AUDIO, rate=RATE, bit_depth=16))
    assert snr(sound.values, codec.decode(data, 1).values) == pytest.approx(score["snr"], abs=1e-9)
