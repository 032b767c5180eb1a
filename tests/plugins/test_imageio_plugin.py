"""What people do with imageio, with .i2 files."""

import gc
import io
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from plugin_pictures import QUICK, picture

from i2compress import View, codec, imageio_plugin
from i2compress.signal import to_codes

imageio_plugin.register()


@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (1, 16), (2, 8), (3, 8), (3, 16), (4, 16)])
def test_pictures_are_read_as_they_are_and_their_properties_are_known_without_decoding(channels: int, depth: int, tmp_path: Path) -> None:
    path = tmp_path / "a.i2"
    path.write_bytes(picture(channels, depth))
    found, said = iio.imread(path), iio.improps(path)
    expected = to_codes(codec.I2File.from_bytes(path.read_bytes()).render().values, depth)
    assert np.array_equal(found, expected[..., 0] if channels == 1 else expected)
    assert (said.shape, said.dtype, said.n_images, said.is_batch) == (found.shape, found.dtype, None, False)


def test_views_are_decoded_and_foretold(photo: Path) -> None:
    file = codec.I2File.from_bytes(photo.read_bytes())
    views = [{"scale": 2.0}, {"crop": (4, 2, 20, 10), "scale": 3}, {"max_size": 10}, {"size": (None, 7)}, {"bit_depth": 16}]
    for view in views:
        found = iio.imread(photo, plugin="i2", **view)
        asked = View(**view)
        assert np.array_equal(found, to_codes(file.render(asked).values, 16 if "bit_depth" in view else 8))
        said = iio.improps(photo, **view)
        assert (said.shape, said.dtype) == (found.shape, found.dtype)
    assert iio.imread(photo, index=...).shape == iio.improps(photo, index=...).shape == (1, 36, 52, 3)
    assert [frame.shape for frame in iio.imiter(photo)] == [(36, 52, 3)]
    for wrong in ({"scale": -1}, {"crop": (50, 0, 9, 9)}, {"index": 1}, {"rate": 8000}):
        with pytest.raises(ValueError):
            iio.imread(photo, **wrong)
    for wrong in ({"scale": -1}, {"crop": (50, 0, 9, 9)}, {"index": 1}):
        with pytest.raises(ValueError):
            iio.improps(photo, **wrong)


def test_pictures_are_written_with_their_settings_to_paths_and_bytes(tmp_path: Path) -> None:
    values = np.arange(24 * 32 * 3).reshape(24, 32, 3).astype(np.uint8)
    iio.imwrite(tmp_path / "a.i2", values, quality=40, **QUICK)
    data = iio.imwrite("<bytes>", values[None], extension=".i2", quality=40, is_batch=True, **QUICK)
    assert data == (tmp_path / "a.i2").read_bytes() and iio.imread(data, extension=".i2").shape == values.shape
    assert iio.immeta(data, plugin="i2") == {} and iio.immeta(picture(3, 8, xmp=b"<x/>"), plugin="i2") == {"xmp": b"<x/>"}
    assert iio.imread(io.BytesIO(data), extension=".i2").shape == values.shape
    with pytest.raises(TypeError, match="colour is no setting"):
        iio.imwrite(tmp_path / "b.i2", values, colour=1)
    with pytest.raises(ValueError, match="quality is 101"):
        iio.imwrite(tmp_path / "b.i2", values, quality=101)
    with pytest.raises(ValueError, match="holds one picture; found 2"):
        iio.imwrite(tmp_path / "b.i2", [values, values])


def test_what_is_no_picture_is_refused_and_other_formats_stay_as_they_were(song: Path, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        iio.imread(song, plugin="i2")
    broken = tmp_path / "broken.i2"
    data = photo.read_bytes()
    broken.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(OSError, match="CRC-32"):
        iio.imread(broken)
    renamed = tmp_path / "photo.i2.renamed"
    renamed.write_bytes(data)
    assert iio.imread(renamed, plugin="i2").shape == (36, 52, 3)
    iio.imwrite(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    assert iio.imread(tmp_path / "a.png").shape == (3, 4)
    gc.collect()
