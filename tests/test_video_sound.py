"""The sound of a video: coded by the sound's own codec in the same file, in step with the pictures in whatever part is decoded."""

import io
import json
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from sounds import RATE, chord
from test_video import frames, muxed

from i2compress import EncodeSettings, View, codec, media
from i2compress.cli import main
from i2compress.codec import I2File
from i2compress.config import Target
from i2compress.container import write_chunk
from i2compress.errors import FormatError, MalformedError, SignalError, UsageError
from i2compress.kinds import Kind
from i2compress.media.course import Parts
from i2compress.media.protocol import Track
from i2compress.media.video import beside
from i2compress.signal import TICKS, Signal
from i2compress.tracks import Packed, encode_tracks, insert_tracks, read_tracks, shown

SETTINGS = EncodeSettings(steps=6, threads=1, device="cpu")
COUNT = 10  # frames, 25 a second
PLACES = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def clip(
    *,
    seconds: float = 0.4,
    start: float = 0.0,
    frames_from: int = 0,
    channels: int = 1,
    tracks: int = 1,
    gap: float = 0.0,
    form: str = "matroska",
    video: str = "ffv1",
    audio: str = "flac",
    rate: int = RATE,
) -> bytes:
    """A video file with sound that begins at `start`, whose second half comes later by `gap`; track k is k times quieter than the first."""
    file, values = io.BytesIO(), chord(seconds, channels, rate)
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(video, rate=25)
        stream.height, stream.width, stream.pix_fmt = 18, 26, "yuv420p"
        sounds = [container.add_stream(audio, rate=rate) for _ in range(tracks)]
        for number, sound in enumerate(sounds):
            sound.layout = PLACES[channels]
            sound.metadata["language"] = ("deu", "fra")[number]
        for number, code in enumerate(frames(COUNT)):
            picture = av.VideoFrame.from_ndarray(code, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number + frames_from, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        for number, sound in enumerate(sounds):
            half = len(values) // 2 // 1024 * 1024 if gap else len(values)
            for first, part in ((0, values[:half]), (half, values[half:])):
                if len(part):
                    piece = av.AudioFrame(format="flt", layout=PLACES[channels], samples=len(part))
                    piece.planes[0].update(np.ascontiguousarray(part / (number + 1), np.float32).tobytes())
                    piece.sample_rate, piece.time_base = rate, Fraction(1, rate)
                    piece.pts = round((start + (gap if first else 0)) * rate) + first
                    container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return file.getvalue()


@cache
def coded(start: float = 0.0, frames_from: int = 0) -> bytes:
    """The .i2 file of a clip."""
    with media.open_source(clip(start=start, frames_from=frames_from)) as opened:
        return codec.encode(opened.source, SETTINGS).data


def decoded(data: bytes, form: str, view: View | None = None) -> bytes:
    """The video file of a view, with its sound."""
    opened, target = I2File.from_bytes(data, threads=1), io.BytesIO()
    with media.open_writer(target, opened.output(view), format=form, metadata=opened.metadata) as sink:
        assert media.accompany(sink, opened.tracks_of(view)) == ()
        for block in opened.blocks(view):
            sink.write(block)
    return target.getvalue()


def heard(track: Track, length: float = 2.0) -> npt.NDArray[np.float64]:
    """The first channel of a track on a clock that begins half a second before the first frame."""
    rate, values = track.source.layout.rate, track.source.read(0, 1 << 20)[:, 0]
    shown = np.zeros(round((length + 1) * rate))
    first = round((track.start / TICKS + 0.5) * rate)
    shown[first : first + len(values)] = values
    return shown


def test_the_sound_is_the_very_file_that_the_sound_codec_makes_and_comes_back_exactly_in_mkv() -> None:
    with media.open_source(clip(channels=2)) as opened:
        encoded = codec.encode(opened.source, SETTINGS)
        (track,) = media.tracks_of(opened.source)
        alone = codec.encode(track.source, SETTINGS)
        assert not opened.source.notes
    (packed,) = read_tracks(encoded.data)
    assert packed == Packed(0, alone.data) and encoded.sizes["track"] > len(alone.data)
    (result,) = encoded.tracks
    assert (result.layout, result.size, dict(result.figures)) == (alone.layout, len(alone.data), dict(alone.figures))
    values = I2File.from_bytes(alone.data).render().values
    with media.open_source(decoded(encoded.data, "mkv")) as opened:
        (again,) = media.tracks_of(opened.source)
        assert again.start == 0 and again.source.layout == track.source.layout
        assert np.abs(again.source.read(0, len(values)) - np.clip(np.floor(values * 2.0**15 + 0.5) / 2.0**15, -1, 1)).max() < 1e-9


def test_without_sound_the_file_is_the_same_as_of_a_source_that_has_none() -> None:
    quiet = replace(SETTINGS, no_audio=True)
    with media.open_source(clip()) as opened, media.open_source(muxed(frames(COUNT))) as silent:
        assert codec.encode(opened.source, quiet).data == codec.encode(silent.source, SETTINGS).data
        assert read_tracks(codec.encode(silent.source, SETTINGS).data) == ()


@pytest.mark.parametrize(("start", "frames_from"), [(0.0, 0), (0.13, 0), (0.0, 3)], ids=["together", "late", "early"])
@pytest.mark.parametrize("form", ["mkv", "mp4"])
@pytest.mark.parametrize(
    "view", [View(), View(time=(0.1, 0.3)), View(frames=(2, 8, None)), View(fps=Fraction(60))], ids=["all", "time", "frames", "fps"]
)
def test_sound_and_pictures_stay_in_step(start: float, frames_from: int, form: str, view: View) -> None:
    data = coded(start, frames_from)
    opened = I2File.from_bytes(data, threads=1)
    (whole,), begin = opened.tracks_of(), 0.0
    assert whole.start == round((start - frames_from / 25) * TICKS)
    wanted = heard(whole)
    if view.time or view.frames:
        begin, end = (0.12, 0.32) if view.time else (0.08, 0.32)  # from the first frame that is shown to the end of the last
        first, last = (round((0.5 + seconds) * RATE) for seconds in (begin, end))
        wanted[:first] = wanted[last:] = 0
        wanted = np.roll(wanted, -round(begin * RATE))
    with media.open_source(decoded(data, form, view)) as found:
        (track,) = media.tracks_of(found.source)
        there = heard(track)
    # AAC loses a little, most of it where the sound is cut; a lag of one sample would lose far more.
    error = np.square(there - wanted).sum() / np.square(wanted).sum()
    assert error < (1e-6 if form == "mkv" else 0.03)
    if form == "mp4":
        assert all(np.square(np.roll(there, lag) - wanted).sum() > np.square(there - wanted).sum() for lag in (-2, 2))


def test_a_part_without_sound_has_no_track() -> None:
    opened = I2File.from_bytes(coded(start=0.13), threads=1)
    assert opened.tracks_of(View(time=(0.0, 0.1))) == ()
    for edge, count in ((0.4 / RATE, 0), (0.6 / RATE, 1)):  # less than half of its first sample, and more
        (track,) = (replace(track, start=round((0.12 - edge) * TICKS)) for track in opened.tracks)
        assert [part.source.layout.grid[0] for part in shown([track], opened.content, View(time=(0.0, 0.12)))] == [1] * count
    assert opened.tracks_of(View(no_audio=True)) == () and len(opened.tracks_of()) == 1


@pytest.mark.parametrize("channels", [6, 8])
@pytest.mark.parametrize("form", ["mkv", "mp4"])
def test_many_channels_keep_their_places(channels: int, form: str) -> None:
    with media.open_source(clip(channels=channels)) as opened:
        (track,) = media.tracks_of(opened.source)
        assert track.source.layout.channels == channels
        wanted, target = track.source.read(0, 1 << 20), io.BytesIO()
        with media.open_writer(target, opened.source.layout, format=form, metadata=opened.source.metadata) as sink:
            media.accompany(sink, [track])
            sink.write(np.asarray(opened.source.read(0, COUNT), np.float32))
    with media.open_source(target.getvalue()) as again:
        (found,) = media.tracks_of(again.source)
        values = found.source.read(0, len(wanted))
    assert values.shape == wanted.shape
    for channel in range(channels):
        if form == "mp4" and channel == 3:  # AAC keeps only the lowest frequencies of the fourth, which is the subwoofer's
            continue
        nearest = np.argmin(np.square(values[:, [channel]] - wanted).sum(0))
        assert nearest == channel


def test_every_track_is_kept_with_its_language() -> None:
    with media.open_source(clip(tracks=2)) as opened:
        data = codec.encode(opened.source, SETTINGS).data
    with media.open_source(decoded(data, "mkv")) as again:
        first, second = media.tracks_of(again.source)
    assert (first.source.metadata.tags, second.source.metadata.tags) == (b"language=deu", b"language=fra")
    with media.open_source(decoded(data, "mkv")) as again:
        first, second = media.tracks_of(again.source)
        loud, quiet = (np.square(track.source.read(0, 1 << 20)).sum() for track in (first, second))
    assert 3 < loud / quiet < 5


def test_what_is_missing_in_between_is_silent_so_that_the_rest_is_in_step() -> None:
    with media.open_source(clip(seconds=1.0, gap=0.25, audio="pcm_s16le")) as opened:
        (track,) = media.tracks_of(opened.source)
        values = track.source.read(0, 1 << 20)[:, 0]
        assert "0.25 s are missing in between and are silent" in " ".join(opened.source.notes)
    half, gap = RATE // 2 // 1024 * 1024, RATE // 4
    assert len(values) == RATE + gap and not values[half : half + gap].any()
    assert np.abs(values[half + gap :] - chord(1.0)[half:, 0]).max() < 1e-4


def test_the_clock_of_a_low_rate_and_one_that_aac_does_not_have_are_kept() -> None:
    with media.open_source(clip(rate=9000)) as opened:
        data = codec.encode(opened.source, SETTINGS).data
    with media.open_source(decoded(data, "mp4")) as again:
        (track,) = media.tracks_of(again.source)
        assert track.source.layout.rate == 11025 and abs((track.source.layout.seconds or 0) - 0.4) < 0.03


def test_sound_that_cannot_be_decoded_is_one_sentence_and_can_be_left_out() -> None:
    data = clip().replace(b"A_FLAC", b"A_NONE")
    with media.open_source(data) as opened:
        with pytest.raises(SignalError, match=r"sound: .*cannot be decoded.*--no-audio$"):
            codec.encode(opened.source, SETTINGS)
        assert codec.encode(opened.source, replace(SETTINGS, no_audio=True)).tracks == ()


def test_an_encoder_that_ffmpeg_does_not_have_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_codec", lambda form, layout: ("no_such_codec", "flt"))
    with pytest.raises(UsageError, match=r"no encoder for the sound of mkv .*--no-audio$"):
        decoded(coded(), "mkv")


def test_damage_and_truncation_are_format_errors_and_partly_decoded_where_asked() -> None:
    data = coded()
    chunk = data.index(b"T", 4)
    for length in (chunk + 1, chunk + 100, len(data) - 5):
        with pytest.raises(FormatError):
            I2File.from_bytes(data[:length])
    cut = I2File.from_bytes(data[:-5], allow_partial=True, threads=1)  # the pictures are lost, the sound is not
    assert not cut.complete and cut.tracks[0].content.complete and len(cut.render().values) == COUNT
    for place in (chunk + 30, chunk + 300):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(FormatError):
            I2File.from_bytes(bytes(changed))
        partial = I2File.from_bytes(bytes(changed), allow_partial=True, threads=1)
        assert not partial.complete and partial.content.complete
        assert np.array_equal(partial.render().values, I2File.from_bytes(data, threads=1).render().values)
        codec.check_cost(bytes(changed))


def test_tracks_are_sound_beside_video_and_nothing_else() -> None:
    picture = codec.encode(Signal.from_codes(np.zeros((8, 8, 3), np.uint8)), SETTINGS).data
    sound = read_tracks(coded())[0].data
    for whole, track in ((coded(), picture), (picture, sound), (coded(), coded()), (coded(), b"abc")):
        with pytest.raises(FormatError):
            I2File.from_bytes(insert_tracks(whole, [Packed(0, track)]))
    far = coded().replace(write_chunk("T", b"\0" + sound), write_chunk("T", b"\xff\xff\xff\xff\xff\x0f" + sound))
    with pytest.raises(FormatError, match="start of a track"):
        I2File.from_bytes(far)
    assert read_tracks(insert_tracks(picture, [Packed(-1234567, b"x"), Packed(5, b"")])) == (Packed(-1234567, b"x"), Packed(5, b""))
    with pytest.raises(MalformedError):
        I2File.from_bytes(insert_tracks(picture, [Packed(0, sound)]))


def test_of_a_size_the_sound_takes_a_share_and_more_effort_leaves_it_as_it_is() -> None:
    with media.open_source(clip(seconds=0.5)) as opened:
        settings = replace(SETTINGS, steps=20)
        free = codec.encode(opened.source, settings)
        size = 2 * len(free.data) // 3
        tracks = media.tracks_of(opened.source)
        bound = encode_tracks(tracks, opened.source, replace(settings, target=Target(size=size)), Parts(None, [1, 1], ["{}", "{}"]), None)
        assert bound.tracks[0].size < 0.4 * size < free.tracks[0].size
        more = codec.refine(opened.source, free.data, replace(SETTINGS, steps=8))
        assert read_tracks(more.encoded.data) == read_tracks(free.data)


def test_the_command_line_says_what_became_of_the_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, packed = tmp_path / "clip.mkv", tmp_path / "clip.i2"
    source.write_bytes(clip(start=0.1))

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words])
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run("encode", str(source), "--steps", "6", "--threads", "1", "--json")
    (track,) = json.loads(out)["tracks"]
    assert code == 0 and track["kind"] == "audio" and track["start"] == pytest.approx(0.1, abs=1e-4) and track["snr"] > 3
    assert "with sound (0.4 s, 8000 Hz, mono, 16 bit" in run("info", str(packed))[1]
    assert json.loads(run("info", str(packed), "--json")[1])["tracks"][0]["samples"] == 3200
    code, out, _ = run("verify", str(packed), "--against", str(source))
    assert code == 0 and "with sound" in out and "dB SNR" in out
    source.write_bytes(muxed(frames(COUNT)))
    code, _, err = run("verify", str(packed), "--against", str(source))
    assert code == 4 and "beside the source runs nothing; expected sound" in err
    for name in ("clip.gif", "clip.y4m", "frame-%02d.png"):
        code, _, err = run("decode", str(packed), "-o", str(tmp_path / name), "--threads", "1")
        assert code == 0 and "its sound is left out, as this format has no place for it: choose mp4 or mkv" in err
        code, _, err = run("decode", str(packed), "-o", str(tmp_path / name), "--threads", "1", "--no-audio", "-f")
        assert code == 0 and "left out" not in err
    code, _, err = run("decode", str(packed), "-o", str(tmp_path / "gone.gif"), "--rm")
    assert code == 2 and packed.exists() and not (tmp_path / "gone.gif").exists() and "mp4 or mkv" in err
    assert "with sound" in run("decode", str(packed), "-o", str(tmp_path / "kept.mp4"), "--rm")[2] and not packed.exists()
    with media.open_source(tmp_path / "kept.mp4") as opened:
        assert opened.source.layout.kind is Kind.VIDEO and len(media.tracks_of(opened.source)) == 1
