"""The same life for every kind of media: a line in the table is all that a new one needs to be tested here."""

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from i2compress import EncodeSettings, Signal, View, codec, media
from i2compress.arrays import Float32Array
from i2compress.codec import I2File
from i2compress.config import TUNES, Limits
from i2compress.container import ChunkReader
from i2compress.errors import FormatError, SignalError, UsageError
from i2compress.kinds import SAMPLES, Kind
from i2compress.media import MEDIA
from i2compress.media.table import check_options, medium_of, medium_of_file, medium_of_source, option_name
from i2compress.signal import Layout

KINDS = list(MEDIA)
FIELDS = ["pyramid", "siren"]
# What a view or a setting that only some kinds take is set to, to see the others refuse it.
ASKED = {
    "scale": View(scale=2),
    "size": View(size=(4, 4)),
    "max_size": View(max_size=4),
    "crop": View(crop=(0, 0, 1, 1)),
    "dither": View(dither=True),
    "no_grain": View(no_grain=True),
    "rate": View(rate=4000),
    "time": View(time=(0.0, 1.0)),
    "frames": View(frames=(0, 1, None)),
    "fps": View(fps=Fraction(30)),
    "bitrate": EncodeSettings(bitrate=24000),
    "start": EncodeSettings(start="none"),
    "grid": EncodeSettings(grid=64),
    "surface": EncodeSettings(field="siren", surface="occupancy"),
    "resolution": View(resolution=8),
    "no_audio": View(no_audio=True),
    "normals": View(normals=True),
    "box": View(box=(0, 0, 0, 1, 1, 1)),
}


def layouts(kind: Kind) -> Iterator[Layout]:
    """A small layout for every number of channels and every depth of a kind."""
    samples = SAMPLES[kind]
    grid, rate = {1: (3000,), 2: (19, 26), 3: (7, 9, 8)}[samples.axes], 8000 if samples.timed else 0
    for floating, depths in samples.depths.items():
        for depth in depths:
            for channels in (1, samples.channels):
                yield Layout(kind=kind, grid=grid, channels=channels, bit_depth=depth, floating=floating, rate=rate)


def signal(layout: Layout) -> Signal:
    """Smooth values over the whole range of the kind, with a corner that is at its lowest."""
    lowest = SAMPLES[layout.kind].lowest
    axes = np.meshgrid(*(np.linspace(0, 3, size) for size in layout.grid), indexing="ij")
    waves = [0.5 + 0.4 * np.sin((c + 1) * sum(axes)) for c in range(layout.channels)]
    values: Float32Array = (lowest + (1 - lowest) * np.stack(waves, -1)).astype(np.float32)
    values[tuple(slice(0, max(1, size // 4)) for size in layout.grid)] = lowest
    return Signal.of(layout, values)


@cache
def encoded(layout: Layout, field: str = "pyramid") -> codec.Encoded:
    """Its file, after few steps."""
    width = None if field == "pyramid" else 8
    return codec.encode(signal(layout), EncodeSettings(steps=8, threads=1, device="cpu", field=field, width=width))


def first(kind: Kind) -> Layout:
    """The first layout of a kind."""
    return next(layouts(kind))


ALL = [layout for kind in KINDS for layout in layouts(kind)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("layout", ALL, ids=lambda layout: f"{layout.kind.name}-{layout.channels}x{layout.bit_depth}{'f' * layout.floating}")
def test_the_figures_of_an_encode_are_those_of_its_file_whatever_the_kind_depth_channels_and_field(layout: Layout, field: str) -> None:
    made = encoded(layout, field)
    file = I2File.from_bytes(made.data, threads=2)
    assert file.layout == layout
    again = file.score(signal(layout))
    assert dict(again) == dict(made.figures)
    assert "psnr" in again and all(math.isfinite(value) for value in again.values())
    values = file.render().values.astype(np.float64)
    values = values if layout.floating else np.clip(values, SAMPLES[layout.kind].lowest, 1)  # as a file of integers holds them
    error = float(np.mean(np.square(values - signal(layout).values)))
    if layout.channels not in (2, 4):  # colour under full transparency counts as right
        assert again["psnr"] == pytest.approx(10 * math.log10(layout.peak**2 / error), abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_written_sniffed_read_and_comes_back_as_it_was(kind: Kind) -> None:
    layout, medium = first(kind), medium_of(kind)
    written = [form for form in medium.formats if form.write and layout.channels in form.channels and not form.name.endswith("m")]
    for form in written:
        file = io.BytesIO()
        with media.open_writer(file, layout, format=form.name) as sink:
            sink.write(signal(layout).values)
        assert sink.layout.grid == layout.grid
        data = file.getvalue()
        assert medium.sniff(data[: media.HEAD]) and medium_of_source(data[: media.HEAD], "wrong.name") is medium
        with media.open_source(data) as opened:
            source = opened.source
            assert (source.layout.kind, opened.size) == (kind, len(data))
            assert source.layout.channels in (layout.channels, 3)  # WebP knows no gray
            whole = source.read(0, source.layout.grid[0])
            assert np.array_equal(source.read(1, 5), whole[1:6])  # in parts, forwards and back
            assert np.array_equal(source.read(0, 2), whole[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_content_says_its_layout_its_blocks_add_up_to_it_and_an_outline_says_the_same(kind: Kind) -> None:
    layout, data = first(kind), encoded(first(kind)).data
    medium = medium_of_file(data)
    assert medium is MEDIA[kind] and medium.start == ChunkReader(data).chunk()[0]
    file = I2File.from_bytes(data, threads=1)
    assert file.output() == layout and file.complete
    assert sum(len(block) for block in file.blocks()) == layout.grid[0]
    outline = medium.outline(data)
    assert outline.layout == layout and outline.what and isinstance(medium.describe(layout), str)
    assert medium.facts(layout)["channels"] == layout.channels
    assert any(form.name == medium.output_format(data[:64]) for form in medium.formats)
    medium.check_output(layout, Limits())
    with pytest.raises(UsageError):
        medium.check_output(layout, Limits(max_pixels=1, max_samples=1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_some_kinds_is_taken_by_them_and_refused_by_the_others_with_their_names(kind: Kind) -> None:
    medium = MEDIA[kind]
    assert {option for other in MEDIA.values() for option in other.options} == set(ASKED)
    for option, asked in ASKED.items():
        if option in medium.options:
            check_options(medium, asked)
            continue
        with pytest.raises(UsageError, match=f"^{option_name(option)} is for .* and this is {medium.noun}"):
            check_options(medium, asked)


@pytest.mark.parametrize("kind", KINDS)
def test_every_tune_is_taken_by_its_kind_and_refused_by_the_others_with_their_names(kind: Kind) -> None:
    medium = MEDIA[kind]
    for other, tunes in TUNES.items():
        for tune in tunes:
            if tune in TUNES.get(kind, ()):
                check_options(medium, EncodeSettings(tune=tune))
                continue
            with pytest.raises(UsageError, match=f"^--tune {tune} is for {MEDIA[other].noun}, and this is {medium.noun}, which takes "):
                check_options(medium, EncodeSettings(tune=tune))
    with pytest.raises(UsageError, match="tune is 'loud'; expected one of visual, "):
        EncodeSettings(tune="loud")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_every_kind_is_a_format_error_and_a_file_cut_short_opens_only_on_request(kind: Kind) -> None:
    data = encoded(first(kind)).data
    for place in range(0, len(data), max(1, len(data) // 60)):
        broken = bytearray(data)
        broken[place] ^= 0x41
        with pytest.raises(FormatError):
            I2File.from_bytes(bytes(broken)).render()
    with pytest.raises(FormatError):
        I2File.from_bytes(data[:-6])
    partial = I2File.from_bytes(data[:-6], allow_partial=True)
    assert not partial.complete and partial.render().layout == first(kind)


def test_a_kind_without_code_is_named() -> None:
    for kind in set(Kind) - set(MEDIA):
        with pytest.raises(SignalError, match=f"{kind.name.lower()} is not supported yet; expected a picture, "):
            medium_of(kind)


def test_a_view_that_no_picture_has_and_one_that_no_sound_has_are_refused_by_the_file_itself() -> None:
    with pytest.raises(UsageError, match="--rate is for sound, and this is a picture"):
        I2File.from_bytes(encoded(first(Kind.IMAGE)).data).render(View(rate=8000))
    with pytest.raises(UsageError, match=r"--scale is for a picture and .*, and this is sound"):
        I2File.from_bytes(encoded(first(Kind.AUDIO)).data).render(View(scale=2))
