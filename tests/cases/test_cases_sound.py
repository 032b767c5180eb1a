"""What real sound files do: lengths that headers do not know, files cut short or joined, containers, and values beyond full scale.

Every input is made here; each case has its right number of samples, its values and its notes.
"""

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from i2compress import Metadata, media
from i2compress.errors import SignalError
from i2compress.media.sound import stream
from i2compress.media.sound.files import SoundLayout, SoundReader, SoundWriter, open_sound_writer, sniff
from i2compress.signal import Kind

Values = npt.NDArray[np.float64]
N = 4000
ONE_CODE = 1.01 * 2.0**-15


def tones(samples: int = N, channels: int = 2, rate: int = 8000, pitch: float = 110) -> Values:
    """`[N, C]`: a sine in each channel, each of another strength and pitch."""
    t = np.arange(samples)[:, None] / rate
    return np.sin(2 * np.pi * pitch * t * np.arange(2, channels + 2)) * (0.1 * np.arange(1, channels + 1))


def written(form: str, subtype: str, values: Values | None = None, rate: int = 8000) -> bytes:
    """A file by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, tones() if values is None else values, rate, format=form, subtype=subtype)
    return file.getvalue()


def muxed(form: str, codec: str, values: Values, rate: int, sample_format: str | None = None, video: bool = False, **options: str) -> bytes:
    """A file by FFmpeg, with a title, and a track of video where asked for."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[values.shape[1]]
    with av.open(file, "w", format=form, container_options=options) as container:
        sound = container.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":
            sound.bit_rate = 128000
        if sample_format:
            sound.format = sample_format
        picture = container.add_stream("mpeg4", rate=25) if video else None
        if picture is not None:
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        container.metadata["title"] = "A title"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.T, np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=sample_format or sound.codec_context.format.name, layout=layout, rate=rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
        if picture is not None:
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            image.pts, image.time_base = 0, Fraction(1, 25)
            container.mux([*picture.encode(image), *picture.encode(None)])
    return file.getvalue()


def opened(data: bytes, name: str = "x.snd") -> tuple[SoundReader, Values]:
    """The reader of a file and all its samples `[N, C]`."""
    reader = SoundReader(io.BytesIO(data), name)
    return reader, reader.read(0, reader.samples).T


def patched(data: bytes, place: int, form: str, value: int) -> bytes:
    """The file with another number at a place."""
    changed = bytearray(data)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


def size_field(form: str, data: bytes) -> tuple[int, str]:
    """Place and type of the number of bytes of sound in a file's header."""
    places = {
        "WAV": lambda: (data.index(b"data") + 4, "<I"),
        "RF64": lambda: (data.index(b"ds64") + 16, "<Q"),
        "W64": lambda: (data.index(b"data") + 16, "<Q"),
        "AIFF": lambda: (data.index(b"SSND") + 4, ">I"),
        "AU": lambda: (8, ">I"),
        "CAF": lambda: (data.index(b"data\0") + 4, ">Q"),
    }
    return places[form]()


FORMS = ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unknown", ["zero", "largest", "half"])
def test_a_length_that_a_header_leaves_open_is_read_to_the_end_without_a_word(form: str, unknown: str) -> None:
    data = written(form, "PCM_16")
    place, kind = size_field(form, data)
    largest = 2 ** (8 * struct.calcsize(kind)) - 1
    value = {"zero": 0, "largest": largest, "half": largest // 2}[unknown]
    reader, values = opened(patched(data, place, kind, value))
    assert (reader.samples, reader.notes) == (N, ())
    assert np.abs(values - tones()).max() < ONE_CODE


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_promises_more_than_there_is_is_warned_of(form: str) -> None:
    data = written(form, "PCM_16")[:-3000]
    reader, values = opened(data, "cut.wav")
    assert reader.samples == N - 750
    assert np.abs(values - tones()[: N - 750]).max() < ONE_CODE
    assert len(reader.notes) == 1
    assert reader.notes[0].startswith("cut.wav: the header promises 16000 bytes of sound and 13000 are there")


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_promises_less_than_there_is_is_read_on_and_warned_of(form: str) -> None:
    data = written(form, "PCM_16")
    place, kind = size_field(form, data)
    now = struct.unpack_from(kind, data, place)[0]
    reader, values = opened(patched(data, place, kind, now - 8000))
    assert reader.samples == N
    assert np.abs(values - tones()).max() < ONE_CODE
    assert "promises 8000 bytes of sound and 16000 are there" in reader.notes[0]


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(512), b"LIST\x12\0\0\0INFOINAM\6\0\0\0title\0", b"\1\2\3"])
def test_what_follows_the_sound_of_a_wav_is_not_taken_for_sound(tail: bytes) -> None:
    reader, _ = opened(written("WAV", "PCM_16") + tail)
    assert (reader.samples, reader.notes) == (N, ())


def test_a_wav_that_says_zero_and_has_only_another_chunk_is_empty() -> None:
    data = written("WAV", "PCM_16")
    place, kind = size_field("WAV", data)
    with pytest.raises(SignalError, match="has no samples"):
        opened(patched(data, place, kind, 0)[: place + 4] + b"LIST\x12\0\0\0INFOINAM\6\0\0\0title\0")


def test_a_wav_beyond_four_gibibytes_whose_length_wrapped_around_has_all_its_samples(tmp_path: Path) -> None:
    header = written("WAV", "PCM_16", np.ones((1, 1)))[:44]
    with open(tmp_path / "long.wav", "w+b") as file:
        file.write(patched(header, 40, "<I", 2**20))
        file.write(b"\1\0" * 2**16)
        file.seek(44 + 2**32 + 2**20 - 2)  # sparse: nearly no byte is on the disk
        file.write(b"\0\x40")
        reader = SoundReader(file, "long.wav")
        assert reader.samples == 2**31 + 2**19
        assert reader.read(reader.samples - 1, 1)[0, 0] == 0.5
        assert "all of them are read" in reader.notes[0]


def test_flac_with_an_open_or_a_short_length_is_read_to_its_end_and_a_cut_one_is_refused() -> None:
    data = written("FLAC", "PCM_16")
    for said, notes in ((0, 0), (2000, 1)):
        reader, values = opened(patched(data, 22, ">I", said))
        assert (reader.samples, len(reader.notes)) == (N, notes)
        assert np.abs(values - tones()).max() < ONE_CODE
    with pytest.raises(SignalError, match=r"^x\.snd: .*4000 samples are there; expected 8000"):
        opened(patched(data, 22, ">I", 8000))
    with pytest.raises(SignalError, match="damaged"):
        opened(data[:-300])


ID3 = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_16")])
def test_id3_in_front_of_another_format_is_skipped(form: str, subtype: str) -> None:
    reader, values = opened(ID3 + written(form, subtype))
    assert reader.samples == N
    assert np.abs(values - tones()).max() < ONE_CODE


def mp3(rate: int = 44100, samples: int = 44123, **options: str) -> bytes:
    return muxed("mp3", "libmp3lame", tones(samples, 1, rate), rate, **options)


def test_an_mp3_has_the_samples_of_its_source_whatever_lies_around_its_frames() -> None:
    data = mp3()
    ape = (
        b"APETAGEX"
        + struct.pack("<IIII", 2000, 52, 1, 0xA0000000)
        + bytes(28)
        + b"APETAGEX"
        + struct.pack("<IIII", 2000, 52, 1, 0x80000000)
        + bytes(8)
    )
    for whole in (data, data + b"TAG" + bytes(125), data + ape, bytes(1000) + data, b"hello" * 300 + data, data + bytes(3000)):
        reader, values = opened(whole)
        assert (reader.samples, reader.notes) == (44123, ())
        assert np.abs(values - tones(44123, 1, 44100))[2000:-2000].max() < 0.02  # aligned: the encoder's delay is cut off


def test_an_mp3_without_a_header_is_read_to_its_end_though_its_bitrate_says_less() -> None:
    bare = {"write_xing": "0", "id3v2_version": "0"}
    loud, silent = mp3(samples=44100, **bare), muxed("mp3", "libmp3lame", np.zeros((44100, 1)), 44100, **bare)
    reader, _ = opened(loud + silent)
    frames = sum(opened(part)[0].samples for part in (loud, silent))
    assert reader.samples == frames
    assert frames > 88200


def test_an_mp3_cut_short_or_joined_is_read_to_its_end_and_warned_of() -> None:
    data = mp3()
    reader, values = opened(data[:-1000])
    assert 1152 < 44123 - reader.samples < 9000
    assert np.abs(values - tones(44123, 1, 44100)[: reader.samples])[2000:-2000].max() < 0.02
    assert "the header promises 40 frames of MPEG audio" in reader.notes[0]
    reader, _ = opened(data + data)
    assert reader.samples > 2 * 44123
    assert "all of them are read" in reader.notes[0]


def test_nothing_reaches_standard_error_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    data = mp3()
    for broken in (data[:-900], data[:6000] + bytes(3000) + data[9000:], data + b"hello world" * 300, b"\xff\xfb\x90\0" + bytes(400)):
        try:
            opened(broken)
        except SignalError:
            continue
    assert capfd.readouterr() == ("", "")


def test_every_link_of_a_chained_ogg_is_read_in_any_order() -> None:
    parts = [written("OGG", "VORBIS", tones(n)) for n in (N, 3000, 5000)]
    reader, values = opened(b"".join(parts))
    assert (reader.samples, reader.notes) == (12000, ())
    assert np.array_equal(values, np.concatenate([opened(part)[1] for part in parts]))
    assert np.abs(values[N : N + 3000] - tones(3000)).max() < 0.1
    assert np.allclose(reader.read(3900, 3300).T, values[3900:7200], atol=1e-6)


def test_links_of_different_rates_are_refused_in_a_sentence() -> None:
    with pytest.raises(SignalError, match=r"part 2 .* has 16000 Hz and 2 channels; expected 8000 Hz and 2 channels"):
        opened(written("OGG", "VORBIS") + written("OGG", "VORBIS", rate=16000))


def test_an_ogg_cut_inside_a_page_or_without_its_end_is_warned_of() -> None:
    random = np.random.default_rng(1).normal(0, 0.2, (80000, 1))
    data = written("OGG", "VORBIS", random)
    last = data.rindex(b"OggS")
    for cut, said in ((data[: last + 300], "inside an Ogg page"), (data[:last], "no mark of its end")):
        reader, values = opened(cut)
        assert 40000 < reader.samples < 80000
        assert np.corrcoef(values[:40000, 0], random[:40000, 0])[0, 1] > 0.8
        assert said in reader.notes[0]


@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
@pytest.mark.parametrize(("name", "tolerance"), [("ogg", 0.03), ("flac", ONE_CODE), ("wav", ONE_CODE)])
def test_channels_keep_their_places_from_file_to_file(channels: int, name: str, tolerance: float) -> None:
    sound = 0.9 * tones(20000, channels, 48000, pitch=6)  # deep: Vorbis cuts the highs of the channel for them
    file, form = io.BytesIO(), media.find_format(name)
    assert form is not None
    with open_sound_writer(file, form, SoundLayout(rate=48000, channels=channels)) as writer:
        writer.write(sound.astype(np.float32))
    _, values = opened(file.getvalue())
    assert np.abs(values - sound)[2000:-2000].max() < tolerance * (3 if channels == 6 else 1)  # Vorbis cuts what is not deep of the fourth of six
    with av.open(io.BytesIO(file.getvalue())) as container:  # another reader finds them at the same places
        frames = [frame for frame in container.decode(audio=0)]
        codes = [
            np.stack([np.frombuffer(plane, np.float32) for plane in frame.planes[:channels]])[:, : frame.samples] for frame in frames if name == "ogg"
        ]
    peaks = np.abs(np.concatenate(codes, 1) if codes else values.T).max(1)
    assert np.all(np.diff(peaks) > 0)


def test_multichannel_opus_of_another_writer_comes_in_the_order_of_wav() -> None:
    sound = np.zeros((24000, 6))
    sound[:, 2] = tones(24000, 1, 48000)[:, 0]  # the centre in WAV's order
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        out = container.add_stream("libopus", rate=48000, layout="5.1", options={"mapping_family": "1"})
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T.astype(np.float32).T.reshape(1, -1)), format="flt", layout="5.1")
        frame.sample_rate, frame.pts = 48000, 0
        fifo = av.AudioFifo()
        fifo.write(frame)
        for piece in fifo.read_many(960, partial=True):
            container.mux(out.encode(piece))
        container.mux(out.encode(None))
    reader, values = opened(file.getvalue())
    assert 24000 <= reader.samples <= 24312
    assert int(np.square(values).sum(0).argmax()) == 2


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
    assert (reader.samples, reader.notes, reader.source) == (44123, (), source)
    assert (reader.layout.rate, reader.layout.bit_depth, reader.layout.floating) == (rate, depth, floating)
    assert reader.layout.metadata.tags == b"title=A title"
    assert np.abs(values - sound)[3000:-3000].max() < tolerance


def test_wma_is_read_to_its_last_frame() -> None:
    sound = tones(44123, 2, 44100)
    data = muxed("asf", "wmav2", sound, 44100)
    assert sniff(data[:16])
    reader, values = opened(data)
    assert (reader.source, reader.layout.metadata.tags) == ("wma", b"title=A title")
    assert 43008 <= reader.samples <= 46000
    # FFmpeg's encoder writes no priming, and newer decoders cut it off all the same.
    assert min(np.abs(values[3000:40000] - sound[3000 + lost : 40000 + lost]).max() for lost in (0, 2048)) < 0.01


def test_raw_aac_and_layer_two_are_read_to_their_last_frame() -> None:
    sound = tones(44100, 2, 44100)
    for form, codec, frame in (("adts", "aac", 1024), ("mp2", "mp2", 1152)):
        data = muxed(form, codec, sound, 44100)
        assert sniff(data[:16])
        reader, _ = opened(data)
        assert reader.samples % frame == 0
        assert 0 <= reader.samples - 44100 < 3 * frame
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
    assert 40000 < reader.samples < 90000
    assert np.abs(values - tones(96000, 2, 48000)[: reader.samples])[10000:-3000].max() < 0.05
    assert any("the header promises 2.0" in note for note in reader.notes)


def test_steps_back_and_jumps_give_what_reading_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELD", 3000)
    data = muxed("ipod", "aac", tones(44123, 2, 44100), 44100)
    values = opened(data)[1]
    reader = SoundReader(io.BytesIO(data), "x")
    for start, count in ((0, 10000), (9000, 10000), (18000, 10000), (100, 50), (44000, 500), (43000, 200), (20000, 1), (44123, 5), (0, 44123)):
        assert np.array_equal(reader.read(start, count).T, values[start : start + count])


def test_reading_forward_decodes_a_file_once_and_holds_little_of_it() -> None:
    started: list[int] = []

    def blocks() -> "stream.Iterator[Values]":
        started.append(1)
        yield from (np.full((1000, 1), n, float) for n in range(1000))

    forward = stream.Forward(blocks, 1)
    for start in range(0, 900_000, 50_000):
        assert forward.read(max(0, start - 4000), 54_000)[-1, 0] == (start + 50_000 - (0 if start else -4000) - 1) // 1000
    assert len(started) == 1
    assert sum(map(len, forward._held)) < 2 * (stream.HELD + 54_000)


def test_an_ogg_video_is_refused_with_what_to_do() -> None:
    with pytest.raises(SignalError, match=r"the file is an Ogg video; .*extract the sound"):
        opened(written("OGG", "VORBIS").replace(b"\x01vorbis", b"\x80theora", 1))


def test_a_file_of_parts_takes_every_place_that_a_damaged_header_may_name() -> None:
    joined = stream.Joined([b"abc", (io.BytesIO(b"0123456789"), 2, 5), b"z"])
    assert joined.read() == b"abc234z"
    assert (joined.seek(-5), joined.read(4)) == (0, b"abc2")
    assert (joined.seek(2**70), joined.read(4)) == (2**70, b"")
    assert stream.read_at(io.BytesIO(b"abc"), 2**70, 4) == b""


@pytest.mark.parametrize(("frames", "said"), [(39, "all of them are read"), (40, ""), (60, "cut short")])
def test_the_header_of_fraunhofer_s_encoder_is_compared_with_what_is_there(frames: int, said: str) -> None:
    data = bytearray(mp3(samples=44100, id3v2_version="0"))
    place = data.index(b"Info")
    data[place : place + 4], data[36:40] = bytes(4), b"VBRI"
    struct.pack_into(">I", data, 50, frames)
    reader, _ = opened(bytes(data))
    assert reader.samples == 40 * 1152
    assert said in " ".join(reader.notes)
    assert len(reader.notes) == (1 if said else 0)


def page_crc(page: bytes) -> int:
    """Of an Ogg page whose own is 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def test_the_gain_in_an_opus_header_is_applied() -> None:
    data = bytearray(muxed("ogg", "libopus", tones(48000, 2, 48000), 48000))
    struct.pack_into("<h", data, data.index(b"OpusHead") + 16, -6 * 256)  # dB in Q7.8
    data[22:26] = bytes(4)
    struct.pack_into("<I", data, 22, page_crc(bytes(data[: data.index(b"OggS", 4)])))
    _, values = opened(bytes(data))
    assert np.abs(values - tones(48000, 2, 48000) * 10 ** (-6 / 20))[5000:-5000].max() < 0.03


def test_a_second_track_and_a_late_beginning_are_warned_of() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        frame = av.AudioFrame.from_ndarray(np.full((1, N), 1000, np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 8000
        for out in [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]:
            container.mux(out.encode(frame))
    reader, values = opened(file.getvalue())
    assert np.array_equal(values, np.full((N, 1), 1000 / 2**15))
    assert [note.split(": ")[1] for note in reader.notes] == ["the file holds 2 tracks of sound", "the sound begins 1.00 s after the file does"]


def test_a_video_is_refused_with_what_to_do() -> None:
    with pytest.raises(SignalError, match=r"^film\.mp4: the file is a video; .* extract its sound \(ffmpeg"):
        opened(muxed("mp4", "aac", tones(8000, 2, 44100), 44100, video=True), "film.mp4")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
        (b"\0\0\0\x20ftypM4A " + bytes(20), "an MP4 or HEIF file"),
        (b"MThd" + bytes(100), "a MIDI file"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "no sound that can be read"),
        ("hello there".encode("utf-16"), "no sound that can be read"),
        (b"RIFF\x40\0\0\0WAVEfmt ", "cannot be read"),
    ],
)
def test_what_is_no_sound_is_named_by_its_content_and_without_the_file_object(data: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with open(tmp_path / "x.wav", "rb") as file, pytest.raises(SignalError, match=what) as caught:
        SoundReader(file, "photo.wav")
    assert str(caught.value).startswith("photo.wav: ")
    assert "_io" not in str(caught.value)
    assert "damaged" not in str(caught.value) or what in ("an MP4 or HEIF file", "cannot be read")


def test_pictures_in_an_mp4_box_and_text_do_not_look_like_sound() -> None:
    assert not any(map(sniff, (b"\0\0\0\x20ftypheic\0\0\0\0", b"\0\0\0\x20ftypavif\0\0\0\0", "hi you".encode("utf-16"), b"FORM\0\0\0\0ILBM", b"")))


@pytest.mark.parametrize("subtype", ["PCM_32", "FLOAT", "DOUBLE"])
def test_deep_sound_is_read_exactly(subtype: str) -> None:
    codes = np.random.default_rng(2).integers(-(2**31), 2**31, (500, 2), np.int64).astype(np.int32)
    wanted = codes / 2.0**31 if subtype != "FLOAT" else (codes / 2.0**31).astype(np.float32)
    reader, values = opened(written("WAV", subtype, codes if subtype == "PCM_32" else wanted))
    assert np.array_equal(values, wanted)
    assert (reader.layout.bit_depth, reader.layout.floating) == {"PCM_32": (32, False), "FLOAT": (32, True), "DOUBLE": (64, True)}[subtype]


def extensible(codes: npt.NDArray[np.int32], bits: int, mask: int) -> bytes:
    """A WAV of 32-bit containers that says how many of their bits count, and where the channels belong."""
    channels, data = codes.shape[1], codes.astype("<i4").tobytes()
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, channels, 8000, 32000 * channels, 4 * channels, 32, 22, bits, mask, 1)
    form += b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_24_bits_in_32_are_24_and_a_channel_mask_out_of_the_ordinary_is_warned_of() -> None:
    codes = np.random.default_rng(3).integers(-(2**23), 2**23, (500, 2), np.int64).astype(np.int32) * 256
    reader, values = opened(extensible(codes, 24, 3))
    assert (reader.layout.bit_depth, reader.notes) == (24, ())
    assert np.array_equal(values, codes / 2.0**31)
    assert "unusual places (mask 0x600)" in opened(extensible(codes, 24, 0x600))[0].notes[0]


@pytest.mark.parametrize(("subtype", "tolerance"), [("ULAW", 0.02), ("ALAW", 0.02), ("IMA_ADPCM", 0.1), ("MS_ADPCM", 0.1), ("GSM610", 0.3)])
def test_compressed_wav_is_read_with_the_length_that_its_header_says(subtype: str, tolerance: float) -> None:
    sound = tones(4040, 1)
    reader, values = opened(written("WAV", subtype, sound))
    assert 0 <= reader.samples - 4040 < 300
    assert np.abs(values[:4000] - sound[:4000])[500:].max() < tolerance


def test_padding_of_adpcm_is_cut_off_where_the_header_says_how_much_is_sound() -> None:
    data = written("WAV", "IMA_ADPCM", tones(4040, 1))
    reader, _ = opened(patched(data, data.index(b"fact") + 8, "<I", 4001))
    assert reader.samples == 4001


@pytest.mark.parametrize(
    ("name", "depth", "floating", "kept"), [("wav", 32, True, True), ("caf", 64, True, True), ("wav", 16, False, False), ("flac", 32, True, False)]
)
def test_values_beyond_full_scale_are_kept_or_counted(name: str, depth: int, floating: bool, kept: bool) -> None:
    sound = np.array([[0.5], [1.75], [-3.0], [1.0], [-1.0]], np.float32)
    file, form = io.BytesIO(), media.find_format(name)
    assert form is not None
    with open_sound_writer(file, form, SoundLayout(rate=8000, channels=1, bit_depth=depth, floating=floating)) as writer:
        writer.write(sound)
    _, values = opened(file.getvalue())
    if kept:
        assert np.array_equal(values, sound)
        assert writer.notes == ()
    else:
        assert np.abs(values - np.clip(sound, -1, 1)).max() < ONE_CODE
        assert writer.notes[0].startswith("2 samples beyond full scale had to be clipped to")


def test_a_long_block_reaches_libsndfile_in_parts_that_it_can_take() -> None:
    class Watched:
        def __init__(self) -> None:
            self.blocks: list[Values] = []

        def write(self, values: Values) -> None:
            self.blocks.append(values)

    file, sound = Watched(), tones(200_000, 2).astype(np.float32)
    SoundWriter(file, SoundLayout(rate=8000, channels=2, bit_depth=32, floating=True), [1, 0]).write(sound)
    assert max(map(len, file.blocks)) <= 65536
    assert np.array_equal(np.concatenate(file.blocks), sound[:, ::-1])


@pytest.mark.parametrize("make", [lambda: muxed("flac", "flac", tones(), 8000, composer="x"), lambda: mp3()], ids=["flac", "mp3"])
def test_tags_are_carried_and_the_container_s_own_are_not(make: Callable[[], bytes]) -> None:
    signal = media.read(make(), kind=Kind.AUDIO)
    assert signal.metadata == Metadata(tags=b"title=A title")


def test_damaged_files_are_read_or_refused_in_a_sentence_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(5)
    seeds = [written(form, "PCM_16") for form in (*FORMS, "FLAC")] + [written("OGG", "VORBIS"), mp3(samples=8000)]
    seeds += [muxed("ipod", "aac", tones(8000, 2, 44100), 44100), muxed("webm", "libopus", tones(8000, 2, 48000), 48000)]
    refused = 0
    for number in range(600):
        data = bytearray(seeds[number % len(seeds)])
        for place in random.integers(0, min(len(data), 300), 4):
            data[place] = random.choice([0, 127, 128, 255])
        try:
            reader = SoundReader(io.BytesIO(data), "x")
            for start in range(0, min(reader.samples, 100_000), 20_000):
                reader.read(start, 20_000)
        except SignalError:
            refused += 1
    assert 60 < refused < 540
    assert capfd.readouterr() == ("", "")
