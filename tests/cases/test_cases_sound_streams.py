"""MP3 and Ogg: read to their true end whatever their headers promise, joined and cut, with every channel at its place."""

import io
import struct

import av
import numpy as np
import pytest
from sound_files import ONE_CODE, N, mp3, muxed, opened, tones, written

from i2compress import media
from i2compress.errors import SignalError
from i2compress.kinds import Kind
from i2compress.media.sound.write import create
from i2compress.signal import Layout, Metadata


def page_crc(page: bytes) -> int:
    """Of an Ogg page whose own is 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


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
        assert (reader.layout.samples, reader.notes) == (44123, ())
        assert np.abs(values - tones(44123, 1, 44100))[2000:-2000].max() < 0.02  # aligned: the encoder's delay is cut off


def test_an_mp3_without_a_header_is_read_to_its_end_though_its_bitrate_says_less() -> None:
    bare = {"write_xing": "0", "id3v2_version": "0"}
    loud, silent = mp3(samples=44100, **bare), muxed("mp3", "libmp3lame", np.zeros((44100, 1)), 44100, **bare)
    reader, _ = opened(loud + silent)
    frames = sum(opened(part)[0].layout.samples for part in (loud, silent))
    assert reader.layout.samples == frames
    assert frames > 88200


def test_an_mp3_cut_short_or_joined_is_read_to_its_end_and_warned_of() -> None:
    data = mp3()
    reader, values = opened(data[:-1000])
    assert 1152 < 44123 - reader.layout.samples < 9000
    assert np.abs(values - tones(44123, 1, 44100)[: reader.layout.samples])[2000:-2000].max() < 0.02
    assert "the header promises 40 frames of MPEG audio" in reader.notes[0]
    reader, _ = opened(data + data)
    assert reader.layout.samples > 2 * 44123
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
    assert (reader.layout.samples, reader.notes) == (12000, ())
    assert np.array_equal(values, np.concatenate([opened(part)[1] for part in parts]))
    assert np.abs(values[N : N + 3000] - tones(3000)).max() < 0.1
    assert np.allclose(reader.read(3900, 3300), values[3900:7200], atol=1e-6)


def test_links_of_different_rates_are_refused_in_a_sentence() -> None:
    with pytest.raises(SignalError, match=r"part 2 .* has 16000 Hz and 2 channels; expected 8000 Hz and 2 channels"):
        opened(written("OGG", "VORBIS") + written("OGG", "VORBIS", rate=16000))


def test_an_ogg_cut_inside_a_page_or_without_its_end_is_warned_of() -> None:
    random = np.random.default_rng(1).normal(0, 0.2, (80000, 1))
    data = written("OGG", "VORBIS", random)
    last = data.rindex(b"OggS")
    for cut, said in ((data[: last + 300], "inside an Ogg page"), (data[:last], "no mark of its end")):
        reader, values = opened(cut)
        assert 40000 < reader.layout.samples < 80000
        assert np.corrcoef(values[:40000, 0], random[:40000, 0])[0, 1] > 0.8
        assert said in reader.notes[0]


@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
@pytest.mark.parametrize(("name", "tolerance"), [("ogg", 0.03), ("flac", ONE_CODE), ("wav", ONE_CODE)])
def test_channels_keep_their_places_from_file_to_file(channels: int, name: str, tolerance: float) -> None:
    sound = 0.9 * tones(20000, channels, 48000, pitch=6)  # deep: Vorbis cuts the highs of the channel for them
    file, form = io.BytesIO(), media.find_format(name)
    assert form is not None
    with create(file, form, Layout(kind=Kind.AUDIO, grid=(1,), rate=48000, channels=channels, bit_depth=16), Metadata()) as writer:
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
    assert 24000 <= reader.layout.samples <= 24312
    assert int(np.square(values).sum(0).argmax()) == 2


def test_an_ogg_video_is_refused_with_what_to_do() -> None:
    with pytest.raises(SignalError, match=r"the file is an Ogg video; .*extract the sound"):
        opened(written("OGG", "VORBIS").replace(b"\x01vorbis", b"\x80theora", 1))


@pytest.mark.parametrize(("frames", "said"), [(39, "all of them are read"), (40, ""), (60, "cut short")])
def test_the_header_of_fraunhofer_s_encoder_is_compared_with_what_is_there(frames: int, said: str) -> None:
    data = bytearray(mp3(samples=44100, id3v2_version="0"))
    place = data.index(b"Info")
    data[place : place + 4], data[36:40] = bytes(4), b"VBRI"
    struct.pack_into(">I", data, 50, frames)
    reader, _ = opened(bytes(data))
    assert reader.layout.samples == 40 * 1152
    assert said in " ".join(reader.notes)
    assert len(reader.notes) == (1 if said else 0)


def test_the_gain_in_an_opus_header_is_applied() -> None:
    data = bytearray(muxed("ogg", "libopus", tones(48000, 2, 48000), 48000))
    struct.pack_into("<h", data, data.index(b"OpusHead") + 16, -6 * 256)  # dB in Q7.8
    data[22:26] = bytes(4)
    struct.pack_into("<I", data, 22, page_crc(bytes(data[: data.index(b"OggS", 4)])))
    _, values = opened(bytes(data))
    assert np.abs(values - tones(48000, 2, 48000) * 10 ** (-6 / 20))[5000:-5000].max() < 0.03
