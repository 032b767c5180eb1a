"""Sound from samples to a file and back: parts, rates, segments, bitrates, odd inputs and damage."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sounds import RATE, chord, snr, sound, wav

import i2compress
from i2compress import EncodeSettings, View, media
from i2compress.codec import I2File, encode
from i2compress.container import chunk_sizes
from i2compress.errors import FormatError, LimitError, SignalError, TruncatedError, UsageError
from i2compress.kinds import Kind
from i2compress.media import SignalSource
from i2compress.media import sound as medium
from i2compress.media.protocol import Hooks
from i2compress.media.sound.content import FRAMES_AT_ONCE
from i2compress.media.sound.files import SoundReader
from i2compress.media.sound.format import SoundHeader, bark_bands, read_sound
from i2compress.media.sound.write import create, to_codes
from i2compress.signal import Layout, Signal, Values

LAYOUT = Layout(kind=Kind.AUDIO, grid=(100,), channels=1, bit_depth=16, rate=8000)
FAST = EncodeSettings(steps=25, threads=1, device="cpu", tune="snr")


@pytest.fixture(scope="module")
def stereo() -> tuple[Signal, bytes]:
    """Two channels in three segments, and their file."""
    signal = sound(chord(1.5, 2), tags=b"title=A chord")
    return signal, medium.encode(SignalSource(signal), FAST, Hooks(), segment_samples=9000).data


def test_a_sound_comes_back_close_to_its_source_with_rate_depth_and_tags(stereo: tuple[Signal, bytes]) -> None:
    signal, data = stereo
    decoded = i2compress.decode(data)
    assert (decoded.kind, decoded.rate, decoded.bit_depth, decoded.floating) == (Kind.AUDIO, RATE, 16, False)
    assert decoded.metadata.tags == b"title=A chord"
    assert decoded.values.shape == signal.values.shape
    assert snr(signal.values, decoded.values) > 20
    assert len(data) < signal.values.size


def test_the_snr_reported_is_that_of_the_decoded_file(stereo: tuple[Signal, bytes]) -> None:
    signal = sound(chord(0.5))
    encoded = encode(signal, FAST)
    codes = to_codes(i2compress.decode(encoded.data).values, 16, False)
    assert encoded.figures["snr"] == pytest.approx(snr(signal.values.astype(np.float64), codes), abs=1e-6)
    assert encoded.bitrate == 8 * len(encoded.data) * RATE / len(signal.values)
    assert sum(encoded.sizes.values()) == len(encoded.data)


def test_encoding_twice_gives_the_same_bytes() -> None:
    signal = sound(chord(0.3))
    assert encode(signal, FAST).data == encode(signal, FAST).data


def test_segments_are_independent_planes_that_join_without_a_click(stereo: tuple[Signal, bytes]) -> None:
    signal, data = stereo
    file = read_sound(data)
    assert file.header.segments == len(file.segments) > 2
    error = np.abs(i2compress.decode(data).values - signal.values)
    for border in range(1, file.header.segments):
        at = border * file.header.segment * file.header.hop
        assert error[at - 20 : at + 20].max() < 2 * error.max() / 2 + 1e-9
        assert error[at - 20 : at + 20].mean() < 3 * error.mean()


@pytest.mark.parametrize("time", [(0, 0.2), (0.31, 0.32), (0.5, 1.2), (1.4, 9.0), (0.7, 0.7002)])
def test_a_part_in_time_is_that_part_of_the_whole_to_the_last_bit(stereo: tuple[Signal, bytes], time: tuple[float, float]) -> None:
    file = I2File.from_bytes(stereo[1], threads=1)
    whole = file.render().values
    start, stop = (min(len(whole), round(t * RATE)) for t in time)
    assert np.array_equal(file.render(View(time=time)).values, whole[start:stop])


def test_a_part_in_time_decodes_only_the_segments_it_needs(stereo: tuple[Signal, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    file = I2File.from_bytes(stereo[1], threads=1)
    asked: list[int] = []
    real = file.content.coefficients
    monkeypatch.setattr(file.content, "coefficients", lambda number: (asked.append(number), real(number))[1])
    file.render(View(time=(1.45, 1.5)))
    assert asked == [file.content.header.segments - 1]


def test_a_long_sound_is_read_and_written_in_pieces_that_do_not_grow_with_it() -> None:
    asked: list[int] = []

    class Watched(SignalSource):
        def read(self, start: int, count: int) -> Values:
            asked.append(count)
            return super().read(start, count)

    source = Watched(sound(np.resize(chord(1.0), (8 * RATE, 1))))
    data = medium.encode(source, FAST, Hooks(stop=lambda: True), segment_samples=RATE, look_seconds=1.0).data
    file = I2File.from_bytes(data, threads=1)
    assert file.content.header.segments == 8
    assert max(asked) <= RATE + 2 * file.content.header.hop
    assert max(len(block) for block in file.blocks()) <= FRAMES_AT_ONCE * file.content.header.hop
    assert max(len(block) for block in file.blocks(View(rate=2 * RATE))) <= 2 * (FRAMES_AT_ONCE + 1) * file.content.header.hop


@pytest.mark.parametrize(("rate", "channels", "seconds", "segments"), [(8000, 1, 70, 3), (8000, 2, 30, 1), (48000, 2, 20, 2), (10, 1, 9000, 1)])
def test_segments_are_some_tens_of_seconds_long(rate: int, channels: int, seconds: int, segments: int) -> None:
    silence = sound(np.zeros((seconds * rate, channels), np.float32), rate)
    assert read_sound(encode(silence, FAST).data).header.segments == segments


@pytest.mark.parametrize("rate", [4000, 7350, 11025, 16000])
def test_another_rate_has_the_length_and_the_values_of_the_sound_at_its_times(stereo: tuple[Signal, bytes], rate: int) -> None:
    file = I2File.from_bytes(stereo[1], threads=1)
    decoded = file.render(View(rate=rate))
    assert (decoded.rate, len(decoded.values)) == (rate, -(-len(stereo[0].values) * rate // RATE))
    if rate % RATE == 0:
        step = rate // RATE
        assert np.abs(decoded.values[::step] - file.render().values).max() < 1e-6
    time = (0.4, 0.9)
    part = file.render(View(rate=rate, time=time)).values
    first = -(-int(time[0] * RATE) * rate // RATE)
    assert np.abs(part - decoded.values[first : first + len(part)]).max() < 1e-9


@pytest.mark.parametrize(
    ("bitrate", "tune", "channels", "steps"),
    [(6000, "snr", 1, 60), (16000, "snr", 1, 60), (16000, "hearing", 1, 60), (24000, "snr", 2, 25), (16000, "snr", 1, 2)],
)
def test_a_bitrate_is_met_within_three_per_cent(bitrate: float, tune: str, channels: int, steps: int) -> None:
    encoded = encode(sound(chord(4.0, channels)), EncodeSettings(steps=steps, threads=1, bitrate=bitrate, tune=tune))
    assert encoded.bitrate == pytest.approx(bitrate, rel=0.03)


def test_a_bitrate_that_is_missed_is_told() -> None:
    short, long = sound(chord(0.05)), sound(chord(2.0))
    (note,) = encode(short, EncodeSettings(steps=2, threads=1, bitrate=2000)).coded.notes
    assert "kbps where 2 were asked for" in note
    assert not encode(long, EncodeSettings(steps=20, threads=1, bitrate=12_000)).coded.notes


def test_noise_fills_what_was_not_coded_where_hearing_counts() -> None:
    random = np.random.default_rng(3)
    t = np.arange(8192) / RATE
    values = (0.3 * np.sin(2 * np.pi * 440 * t) + 0.003 * random.normal(size=len(t)))[:, None].astype(np.float32)
    power = {}
    for tune in ("snr", "hearing"):
        decoded = i2compress.decode(encode(sound(values), EncodeSettings(quality=40, steps=30, threads=1, tune=tune)).data).values
        power[tune] = np.square(np.abs(np.fft.rfft(decoded[:, 0]))[len(t) // 4 :]).sum()
    wanted = np.square(np.abs(np.fft.rfft(values[:, 0]))[len(t) // 4 :]).sum()
    assert power["snr"] < 0.05 * wanted
    assert 0.2 * wanted < power["hearing"] < wanted


def test_a_time_limit_ends_the_fit() -> None:
    encoded = encode(sound(chord(0.5)), EncodeSettings(steps=100000, time_limit=2.0, threads=1))
    assert encoded.coded.steps < 5000
    assert encoded.seconds < 30
    assert "the time limit left fewer than half of the steps in 1 of 1 segments" in encoded.coded.notes[0]
    assert not encode(sound(chord(0.1)), EncodeSettings(steps=3, time_limit=60.0, threads=1)).coded.notes


def test_a_higher_quality_is_closer_and_larger() -> None:
    signal = sound(chord(0.6))
    low, high = (encode(signal, EncodeSettings(quality=q, steps=25, threads=1)) for q in (30, 90))
    assert high.figures["snr"] > low.figures["snr"] + 5
    assert len(high.data) > len(low.data)


def _click() -> npt.NDArray[np.float32]:
    x = np.zeros((5000, 1), np.float32)
    x[2500] = 1
    return x


@pytest.mark.parametrize(
    ("values", "least"),
    [
        (np.full((1, 1), 0.25, np.float32), 10),
        (np.full((2, 3), -0.5, np.float32), 10),
        (np.full((4001, 1), 0.5, np.float32), 15),
        (_click(), 15),
        (np.ones((700, 2), np.float32) * np.array([1, -1], np.float32), 15),
        (chord(0.2, 8), 15),
        (1e-4 * chord(0.3), 10),
    ],
    ids=["one sample", "two samples", "dc", "click", "clipped", "eight channels", "faint"],
)
def test_odd_sounds_come_back(values: npt.NDArray[np.float32], least: float) -> None:
    encoded = encode(sound(values), FAST)
    decoded = i2compress.decode(encoded.data).values
    assert decoded.shape == values.shape
    assert snr(values, decoded) > least


def test_a_loud_tone_is_coded_far_beyond_what_latents_hold() -> None:
    tone = (0.9 * np.sin(0.3 * np.arange(8192)))[:, None].astype(np.float32)
    signal = Signal(values=tone, kind=Kind.AUDIO, rate=RATE, bit_depth=32, floating=True)
    assert encode(signal, EncodeSettings(lam=1e-10, steps=25, threads=1, tune="snr")).figures["snr"] > 85


def test_silence_is_silence_in_a_few_bytes() -> None:
    encoded = encode(sound(np.zeros((20000, 2), np.float32)), FAST)
    assert not i2compress.decode(encoded.data).values.any()
    assert len(encoded.data) < 64
    assert encoded.figures["snr"] == np.inf


def test_silence_between_sounds_is_a_silent_segment() -> None:
    values = np.concatenate([chord(0.5), np.zeros((16000, 1), np.float32), chord(0.5)])
    data = medium.encode(SignalSource(sound(values)), FAST, Hooks(), segment_samples=5000).data
    file = read_sound(data)
    assert any(segment.content is None for segment in file.segments)
    assert snr(values, i2compress.decode(data).values) > 20


def test_not_a_number_is_refused_in_a_sentence() -> None:
    values = chord(0.2)
    values[100] = np.nan
    with pytest.raises(SignalError, match="NaN or infinite"):
        sound(values)
    source = medium.open(io.BytesIO(wav(values, subtype="FLOAT")), "x.wav")
    with pytest.raises(SignalError, match=r"x\.wav: the sound holds NaN"):
        encode(source, FAST)


@pytest.mark.parametrize("view", [View(scale=2), View(crop=(0, 0, 1, 1)), View(time=(50, 60)), View(bit_depth=32, time=(9, 10))])
def test_a_view_that_a_sound_does_not_have_is_a_usage_error(stereo: tuple[Signal, bytes], view: View) -> None:
    with pytest.raises(UsageError):
        i2compress.decode(stereo[1], view)


def test_every_prefix_is_known_as_cut_short_and_every_flipped_byte_is_noticed() -> None:
    data = encode(sound(chord(0.1)), EncodeSettings(quality=20, steps=5, threads=1)).data
    for length in range(4, len(data)):
        with pytest.raises(TruncatedError):
            read_sound(data[:length])
    for place in range(4, len(data)):
        broken = bytearray(data)
        broken[place] ^= 0x41
        with pytest.raises(FormatError):
            i2compress.decode(bytes(broken))


def test_a_file_cut_short_decodes_to_its_whole_segments_and_silence_where_that_is_asked_for(stereo: tuple[Signal, bytes]) -> None:
    data = stereo[1]
    file = I2File.from_bytes(data[: len(data) - 10], threads=1, allow_partial=True)
    assert not file.complete
    whole, part = i2compress.decode(data).values, file.render().values
    at = (file.content.header.segments - 1) * file.content.header.segment * file.content.header.hop - file.content.header.hop
    assert np.array_equal(part[:at], whole[:at])
    assert not part[at + 2 * file.content.header.hop :].any()


def test_chunks_of_a_sound_add_up(stereo: tuple[Signal, bytes]) -> None:
    sizes = chunk_sizes(stereo[1])
    assert sum(chunk.size for chunk in sizes) == len(stereo[1])
    assert {chunk.name for chunk in sizes} == {"signature", "sound", "tags", "segment", "header", "weights", "latents"}


@pytest.mark.parametrize("change", [{"layout": LAYOUT.part(2**41)}, {"segment": 0}, {"segment": 2**20, "hop": 8192}])
def test_a_header_beyond_the_limits_is_refused(change: dict[str, object]) -> None:
    right = {"layout": LAYOUT, "hop": 64, "segment": 2, "window": 1, "source": 0}
    with pytest.raises(LimitError):
        SoundHeader(**{**right, **change})  # type: ignore[arg-type]  # each of its own type


def test_bark_bands_rise_and_follow_the_frequency() -> None:
    bands = bark_bands(2048, 2048, 48000)
    assert (np.diff(bands) >= 0).all()
    assert (bands[0], bands[int(1000 / 24000 * 2048)], bands[-1]) == (0, 8, 24)


@pytest.mark.parametrize(
    ("name", "subtype", "depth", "floating"),
    [
        ("WAV", "PCM_U8", 8, False),
        ("WAV", "PCM_24", 24, False),
        ("WAV", "PCM_32", 32, False),
        ("WAV", "FLOAT", 32, True),
        ("WAV", "DOUBLE", 64, True),
        ("FLAC", "PCM_24", 24, False),
        ("AIFF", "PCM_16", 16, False),
        ("OGG", "VORBIS", 16, False),
        ("MP3", "MPEG_LAYER_III", 16, False),
    ],
)
def test_files_are_read_with_their_depth(name: str, subtype: str, depth: int, floating: bool) -> None:
    signal = media.read(wav(chord(0.5, 2), 44100, format=name, subtype=subtype))
    assert (signal.kind, signal.rate, signal.bit_depth, signal.floating, signal.channels) == (Kind.AUDIO, 44100, depth, floating, 2)


@pytest.mark.parametrize(
    ("form", "depth", "floating"), [("wav", 8, False), ("wav", 24, False), ("wav", 32, False), ("flac", 16, False), ("wav", 32, True)]
)
def test_codes_written_are_the_codes_read(form: str, depth: int, floating: bool, tmp_path: Path) -> None:
    values = chord(0.2, 2)
    found = media.find_format(form)
    assert found is not None
    layout = Layout(kind=Kind.AUDIO, grid=(len(values),), rate=8000, channels=2, bit_depth=depth, floating=floating)
    tags = i2compress.Metadata(tags=b"artist=x\ntitle=y")
    with open(tmp_path / f"x.{form}", "w+b") as file, create(file, found, layout, tags) as writer:
        writer.write(values[:500])
        writer.write(values[500:])
    with open(tmp_path / f"x.{form}", "rb") as file:
        reader = SoundReader(file, "x")
        back = reader.read(0, reader.layout.samples)
    assert np.array_equal(back, to_codes(values, depth, floating))
    assert reader.metadata.tags is not None and b"title=y" in reader.metadata.tags


def test_a_lossy_file_can_be_written_and_a_picture_cannot_go_into_a_sound_file(tmp_path: Path) -> None:
    found = media.find_format("mp3")
    assert found is not None
    with (
        open(tmp_path / "x.mp3", "w+b") as file,
        create(file, found, Layout(kind=Kind.AUDIO, grid=(22050,), rate=44100, channels=1, bit_depth=16), i2compress.Metadata()) as writer,
    ):
        writer.write(chord(0.5, 1, 44100))
    assert media.read(tmp_path / "x.mp3").rate == 44100
    with pytest.raises(UsageError, match="holds sound"), media.open_writer(tmp_path / "x.wav", Layout(kind=Kind.IMAGE, grid=(1, 1), channels=3)):
        pass


@pytest.mark.parametrize(
    "data", [b"", b"RIFF\0\0\0\0WAVE", wav(np.zeros((0, 1), np.float32)), b"\0\0\0\x20ftypM4A "], ids=["empty", "cut", "none", "m4a"]
)
def test_what_is_no_sound_is_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(SignalError, match=r"^the input: .*\w"):
        media.read(data)


def test_noise_is_as_strong_as_what_is_missing_everywhere_and_weak_where_only_clicks_are() -> None:
    from i2compress.media.sound.format import NO_NOISE, NOISE_PER_OCTAVE
    from i2compress.media.sound.noise import SHARE, levels

    frames, hop = 50, 256
    random = np.random.default_rng(0)
    plane = np.zeros((1, frames, hop))
    plane[:, :, 0] = 1.0  # so every frame has the strength of the others
    coded = plane != 0
    steady = 0.01 * random.choice([-1.0, 1.0], plane.shape)
    expected = round(-NOISE_PER_OCTAVE * np.log2(SHARE * 0.01))
    codes = levels(steady, plane, coded, hop, 16000)
    assert {code for code in codes if code != NO_NOISE} == {expected}
    clicks = steady * np.where(np.arange(frames) == 7, np.sqrt(frames), 1e-3)[:, None]  # the same mean power, in one frame
    assert all(
        quiet > expected + 4 * NOISE_PER_OCTAVE
        for quiet, code in zip(levels(clicks, plane, coded, hop, 16000), codes, strict=True)
        if code != NO_NOISE
    )
