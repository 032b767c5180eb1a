"""Sound in MP4, WebM, Matroska and WMA, raw AAC, what is refused as video, and reading back and forth in what is only decoded forward."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from sound_files import ONE_CODE, N, Values, muxed, opened, tones

from i2compress.errors import SignalError
from i2compress.media import parts
from i2compress.media.sound import ffmpeg
from i2compress.media.sound.files import SoundReader
from i2compress.media.sound.sniff import sniff


@pytest.mark.parametrize(
    ("form", "codec", "rate", "sample_format", "depth", "floating", "tolerance", "source"),
    [
        ("ipod", "aac", 44100, None, 16, False, 0.03, "m4a"),
        ("ipod", "alac", 44100, "s16p", 16, False, ONE_CODE, "m4a"),
        ("ipod", "alac", 44100, "s32p", 24, False, 2.0**-22, "m4a"),
        ("webm", "libopus", 48000, None, 16, False, 0.05, "webm"),
        ("matroska", "flac", 44100, "s16", 16, False, ONE_CODE, "webm"),
        ("matroska", "pcm_f32le", 44100, None, 32, True, 1e-7, "webm"),
        ("matroska", "pcm_s32le", 44100, None, 32, False, 1e-7, "webm"),
        ("mov", "pcm_s24le", 44100, None, 24, False, 2.0**-22, "m4a"),
    ],
)
def test_sound_in_other_containers_is_read_with_its_length_depth_and_title(
    form: str, codec: str, rate: int, sample_format: str | None, depth: int, floating: bool, tolerance: float, source: str
) -> None:
    sound = tones(44123, 2, rate)
    data = muxed(form, codec, sound, rate, sample_format)
    assert sniff(data[:16])
    reader, values = opened(data, "called.wav")
    assert (reader.layout.samples, reader.notes, reader.format) == (44123, (), source)
    assert (reader.layout.rate, reader.layout.bit_depth, reader.layout.floating) == (rate, depth, floating)
    assert reader.metadata.tags == b"title=A title"
    assert np.abs(values - sound)[3000:-3000].max() < tolerance


def test_wma_is_read_to_its_last_frame() -> None:
    sound = tones(44123, 2, 44100)
    data = muxed("asf", "wmav2", sound, 44100)
    assert sniff(data[:16])
    reader, values = opened(data)
    assert (reader.format, reader.metadata.tags) == ("wma", b"title=A title")
    assert 43008 <= reader.layout.samples <= 46000
    # FFmpeg's encoder writes no priming, and newer decoders cut it off all the same.
    assert min(np.abs(values[3000:40000] - sound[3000 + lost : 40000 + lost]).max() for lost in (0, 2048)) < 0.01


def test_raw_aac_and_layer_two_are_read_to_their_last_frame() -> None:
    sound = tones(44100, 2, 44100)
    for form, codec, frame in (("adts", "aac", 1024), ("mp2", "mp2", 1152)):
        data = muxed(form, codec, sound, 44100)
        assert sniff(data[:16])
        reader, _ = opened(data)
        assert reader.layout.samples % frame == 0
        assert 0 <= reader.layout.samples - 44100 < 3 * frame
    reader, _ = opened(muxed("adts", "aac", sound, 44100)[:-100])
    assert "1 of 45 packets cannot be decoded" in reader.notes[0]


@pytest.mark.parametrize("form", ["webm", "ipod"])
def test_a_container_cut_short_is_warned_of(form: str, tmp_path: Path) -> None:
    data = muxed(form, "libopus" if form == "webm" else "aac", tones(96000, 2, 48000), 48000)
    if form == "ipod":  # its index, which is at the end, to the front
        file = tmp_path / "x.m4a"
        with av.open(io.BytesIO(data)) as source, av.open(file, "w", format=form, container_options={"movflags": "faststart"}) as target:
            out = target.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(audio=0):
                if packet.size:
                    packet.stream = out
                    target.mux(packet)
        data = file.read_bytes()
    reader, values = opened(data[: -len(data) // 4])
    assert 40000 < reader.layout.samples < 90000
    assert np.abs(values - tones(96000, 2, 48000)[: reader.layout.samples])[10000:-3000].max() < 0.05
    assert any("the header promises 2.0" in note for note in reader.notes)


def test_steps_back_and_jumps_give_what_reading_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "HELD", 3000)
    data = muxed("ipod", "aac", tones(44123, 2, 44100), 44100)
    values = opened(data)[1]
    reader = SoundReader(io.BytesIO(data), "x")
    for start, count in ((0, 10000), (9000, 10000), (18000, 10000), (100, 50), (44000, 500), (43000, 200), (20000, 1), (44123, 5), (0, 44123)):
        assert np.array_equal(reader.read(start, count), values[start : start + count])


def test_reading_forward_decodes_a_file_once_and_holds_little_of_it() -> None:
    started: list[int] = []

    def blocks() -> "Iterator[Values]":
        started.append(1)
        yield from (np.full((1000, 1), n, float) for n in range(1000))

    forward = parts.Forward(blocks, np.zeros((0, 1)), 3000)
    for start in range(0, 900_000, 50_000):
        assert forward.read(max(0, start - 4000), 54_000)[-1, 0] == (start + 50_000 - (0 if start else -4000) - 1) // 1000
    assert len(started) == 1
    assert sum(map(len, forward._held)) < 2 * (3000 + 54_000)


def test_a_file_of_parts_takes_every_place_that_a_damaged_header_may_name() -> None:
    joined = parts.Joined([b"abc", (io.BytesIO(b"0123456789"), 2, 5), b"z"])
    assert joined.read() == b"abc234z"
    assert (joined.seek(-5), joined.read(4)) == (0, b"abc2")
    assert (joined.seek(2**70), joined.read(4)) == (2**70, b"")
    assert parts.read_at(io.BytesIO(b"abc"), 2**70, 4) == b""


def test_a_second_track_and_a_late_beginning_are_warned_of() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        frame = av.AudioFrame.from_ndarray(np.full((1, N), 1000, np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 8000
        for out in [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]:
            container.mux(out.encode(frame))
    reader, values = opened(file.getvalue())
    assert np.array_equal(values, np.full((N, 1), 1000 / 2**15))
    assert [note.split(": ")[0] for note in reader.notes] == ["the file holds 2 tracks of sound", "the sound begins 1.00 s after the file does"]


def test_a_video_is_refused_with_what_to_do() -> None:
    with pytest.raises(SignalError, match=r"^film\.mp4: the file is a video; .* extract its sound \(ffmpeg"):
        opened(muxed("mp4", "aac", tones(8000, 2, 44100), 44100, video=True), "film.mp4")
