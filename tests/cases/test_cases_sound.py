"""What real sound files do: lengths that headers do not know, depths, values beyond full scale, and what is no sound.

Every input is made here; each case has its right number of samples, its values and its notes.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sound_files import FORMS, ID3, ONE_CODE, N, Values, mp3, muxed, opened, patched, size_field, tones, written

from i2compress import Metadata, media
from i2compress.errors import SignalError
from i2compress.kinds import Kind
from i2compress.media.sound.files import SoundReader
from i2compress.media.sound.sniff import sniff
from i2compress.media.sound.write import SoundWriter, create
from i2compress.signal import Layout


def extensible(codes: npt.NDArray[np.int32], bits: int, mask: int) -> bytes:
    """A WAV of 32-bit containers that says how many of their bits count, and where the channels belong."""
    channels, data = codes.shape[1], codes.astype("<i4").tobytes()
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, channels, 8000, 32000 * channels, 4 * channels, 32, 22, bits, mask, 1)
    form += b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unknown", ["zero", "largest", "half"])
def test_a_length_that_a_header_leaves_open_is_read_to_the_end_without_a_word(form: str, unknown: str) -> None:
    data = written(form, "PCM_16")
    place, kind = size_field(form, data)
    largest = 2 ** (8 * struct.calcsize(kind)) - 1
    value = {"zero": 0, "largest": largest, "half": largest // 2}[unknown]
    reader, values = opened(patched(data, place, kind, value))
    assert (reader.layout.samples, reader.notes) == (N, ())
    assert np.abs(values - tones()).max() < ONE_CODE


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_promises_more_than_there_is_is_warned_of(form: str) -> None:
    data = written(form, "PCM_16")[:-3000]
    reader, values = opened(data, "cut.wav")
    assert reader.layout.samples == N - 750
    assert np.abs(values - tones()[: N - 750]).max() < ONE_CODE
    assert len(reader.notes) == 1
    assert reader.notes[0].startswith("the header promises 16000 bytes of sound and 13000 are there")


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_promises_less_than_there_is_is_read_on_and_warned_of(form: str) -> None:
    data = written(form, "PCM_16")
    place, kind = size_field(form, data)
    now = struct.unpack_from(kind, data, place)[0]
    reader, values = opened(patched(data, place, kind, now - 8000))
    assert reader.layout.samples == N
    assert np.abs(values - tones()).max() < ONE_CODE
    assert "promises 8000 bytes of sound and 16000 are there" in reader.notes[0]


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(512), b"LIST\x12\0\0\0INFOINAM\6\0\0\0title\0", b"\1\2\3"])
def test_what_follows_the_sound_of_a_wav_is_not_taken_for_sound(tail: bytes) -> None:
    reader, _ = opened(written("WAV", "PCM_16") + tail)
    assert (reader.layout.samples, reader.notes) == (N, ())


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
        assert reader.layout.samples == 2**31 + 2**19
        assert reader.read(reader.layout.samples - 1, 1)[0, 0] == 0.5
        assert "all of them are read" in reader.notes[0]


def test_flac_with_an_open_or_a_short_length_is_read_to_its_end_and_a_cut_one_is_refused() -> None:
    data = written("FLAC", "PCM_16")
    for said, notes in ((0, 0), (2000, 1)):
        reader, values = opened(patched(data, 22, ">I", said))
        assert (reader.layout.samples, len(reader.notes)) == (N, notes)
        assert np.abs(values - tones()).max() < ONE_CODE
    with pytest.raises(SignalError, match=r"^x\.snd: .*4000 samples are there; expected 8000"):
        opened(patched(data, 22, ">I", 8000))
    with pytest.raises(SignalError, match="damaged"):
        opened(data[:-300])


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_16")])
def test_id3_in_front_of_another_format_is_skipped(form: str, subtype: str) -> None:
    reader, values = opened(ID3 + written(form, subtype))
    assert reader.layout.samples == N
    assert np.abs(values - tones()).max() < ONE_CODE


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
        (b"\0\0\0\x20ftypM4A " + bytes(20), "an M4A sound, damaged or without a track of sound"),
        (b"MThd" + bytes(100), "a MIDI file"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "text"),
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
    assert "damaged" not in str(caught.value) or what in ("an M4A sound, damaged or without a track of sound", "cannot be read")


def test_pictures_in_an_mp4_box_and_text_do_not_look_like_sound() -> None:
    assert not any(map(sniff, (b"\0\0\0\x20ftypheic\0\0\0\0", b"\0\0\0\x20ftypavif\0\0\0\0", "hi you".encode("utf-16"), b"FORM\0\0\0\0ILBM", b"")))


@pytest.mark.parametrize("subtype", ["PCM_32", "FLOAT", "DOUBLE"])
def test_deep_sound_is_read_exactly(subtype: str) -> None:
    codes = np.random.default_rng(2).integers(-(2**31), 2**31, (500, 2), np.int64).astype(np.int32)
    wanted = codes / 2.0**31 if subtype != "FLOAT" else (codes / 2.0**31).astype(np.float32)
    reader, values = opened(written("WAV", subtype, codes if subtype == "PCM_32" else wanted))
    assert np.array_equal(values, wanted)
    assert (reader.layout.bit_depth, reader.layout.floating) == {"PCM_32": (32, False), "FLOAT": (32, True), "DOUBLE": (64, True)}[subtype]


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
    assert 0 <= reader.layout.samples - 4040 < 300
    assert np.abs(values[:4000] - sound[:4000])[500:].max() < tolerance


def test_padding_of_adpcm_is_cut_off_where_the_header_says_how_much_is_sound() -> None:
    data = written("WAV", "IMA_ADPCM", tones(4040, 1))
    reader, _ = opened(patched(data, data.index(b"fact") + 8, "<I", 4001))
    assert reader.layout.samples == 4001


@pytest.mark.parametrize(
    ("name", "depth", "floating", "kept"), [("wav", 32, True, True), ("caf", 64, True, True), ("wav", 16, False, False), ("flac", 32, True, False)]
)
def test_values_beyond_full_scale_are_kept_or_counted(name: str, depth: int, floating: bool, kept: bool) -> None:
    sound = np.array([[0.5], [1.75], [-3.0], [1.0], [-1.0]], np.float32)
    file, form = io.BytesIO(), media.find_format(name)
    assert form is not None
    with create(file, form, Layout(kind=Kind.AUDIO, grid=(1,), rate=8000, channels=1, bit_depth=depth, floating=floating), Metadata()) as writer:
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
    SoundWriter(file, Layout(kind=Kind.AUDIO, grid=(1,), rate=8000, channels=2, bit_depth=32, floating=True), [1, 0]).write(sound)
    assert max(map(len, file.blocks)) <= 65536
    assert np.array_equal(np.concatenate(file.blocks), sound[:, ::-1])


@pytest.mark.parametrize("make", [lambda: muxed("flac", "flac", tones(), 8000, composer="x"), lambda: mp3()], ids=["flac", "mp3"])
def test_tags_are_carried_and_the_container_s_own_are_not(make: Callable[[], bytes]) -> None:
    signal = media.read(make())
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
            for start in range(0, min(reader.layout.samples, 100_000), 20_000):
                reader.read(start, 20_000)
        except SignalError:
            refused += 1
    assert 60 < refused < 540
    assert capfd.readouterr() == ("", "")
