"""The audio benchmark's measures, and its peers where their libraries are there."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, chord, wav

from i2compress.bench import audio
from i2compress.bench.audio_codecs import codecs
from i2compress.bench.audio_report import tables
from i2compress.bench.spectrograms import draw, nearest, spectrograms


def test_a_late_decoder_is_moved_back() -> None:
    source = chord(0.5).astype(np.float64)
    late = np.concatenate([np.zeros((123, 1)), source])
    assert np.array_equal(audio.aligned(source, late), source)
    assert audio.snr(source[: len(source) - 50], audio.aligned(source, source[50:])[: len(source) - 50]) < 400
    assert np.array_equal(audio.aligned(source, source[50:])[50:], source[50:])


def test_measures_are_those_of_their_definitions() -> None:
    source = chord(1.0).astype(np.float64)
    assert audio.snr(source, source) == np.inf
    assert audio.snr(source, 0.9 * source) == pytest.approx(20)
    assert audio.log_spectral_distance(source, source) == 0
    loud = 0.5 + np.random.default_rng(0).normal(size=(8000, 1))
    assert audio.log_spectral_distance(loud, 0.5 * loud) == pytest.approx(20 * np.log10(2), rel=0.01)


@pytest.mark.parametrize("name", ["opus", "mp3", "aac", "flac"])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (16000, 1)])
def test_peers_come_back_at_the_source_rate(name: str, rate: int, channels: int) -> None:
    pytest.importorskip("av")
    source = np.clip(chord(0.7, channels, rate), -1, 1 - 2**-15).astype(np.float64)
    codec = codecs(effort=1, depth=(16, False))[name]
    data = codec.encode(source, rate, 96)
    decoded = audio.aligned(source, codec.decode(data, rate))
    assert audio.snr(source, decoded) > (60 if name == "flac" else 8)
    assert len(data) < source.size * 2


def test_bd_rate_of_half_the_bytes_is_minus_fifty() -> None:
    pytest.importorskip("bjontegaard")

    def point(codec: str, rate: float, snr: float) -> audio.AudioPoint:
        numbers = {"bytes": 1, "lsd": 1.0, "encoding_time": 1.0, "decoding_time": 1.0, "seconds": 1.0}
        return audio.AudioPoint(source="a", codec=codec, point=rate, bitrate=rate, snr=snr, **numbers)

    points = [point("opus", 1000 * 2**k, 5.0 * k) for k in range(5)] + [point("i2c", 500 * 2**k, 5.0 * k) for k in range(5)]
    assert audio.bd_rates(points)["i2c", "a"] == pytest.approx(-50, abs=0.1)


def test_the_processors_seconds_are_beside_those_of_the_clock(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    (point,) = audio.run([str(tmp_path / "a.wav")], ["flac"], tmp_path, effort=1)
    assert point.encoding_cpu is not None and point.encoding_cpu > 0
    (row,) = [line for line in tables([point]).splitlines() if line.startswith("| a |")]
    assert f"| {point.encoding_time / 0.3:.2f} | {point.encoding_cpu / 0.3:.2f} |" in row
    (old,) = [line for line in tables([replace(point, encoding_cpu=None)]).splitlines() if line.startswith("| a |")]
    assert f"| {point.encoding_time / 0.3:.2f} |  |" in old


def test_spectrograms_show_the_points_next_to_24_kbps_of_kept_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    pytest.importorskip("matplotlib")
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    paths, folder = [str(tmp_path / "a.wav")], tmp_path / "out"
    points = audio.run(paths, ["opus"], folder, effort=1)
    (chosen,) = nearest(points, "a")
    assert all(abs(np.log(chosen.bitrate / 24000)) <= abs(np.log(p.bitrate / 24000)) for p in points)
    assert sorted(p.name for p in (folder / "files").iterdir())[:2] == ["a-opus-12.ogg", "a-opus-128.ogg"]
    assert [(folder / "files" / f"a-opus-{p.point:g}.ogg").stat().st_size for p in points] == [p.bytes for p in points]
    drawn: list[str] = []
    monkeypatch.setattr("i2compress.bench.spectrograms.draw", lambda panels, rate: drawn.extend(title for title, _ in panels) or b"png")
    monkeypatch.setattr("i2compress.bench.spectrograms.keep", lambda *a: pytest.fail("the file was there"))
    assert spectrograms(paths, points, folder, effort=1) == ["spectrogram-a.png"]
    assert drawn == ["a, source", f"libopus in Ogg, VBR, {chosen.bitrate / 1000:.1f} kbps"]
    assert "![spectrogram-a](spectrogram-a.png)" in tables(points, ["spectrogram-a.png"])


def test_panels_share_one_range_of_levels() -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    source = chord(0.5).astype(np.float64)

    def brightness(gain: float) -> tuple[float, float]:
        pixels = np.asarray(Image.open(io.BytesIO(draw([("a", source), ("b", gain * source)], RATE))).convert("L"), np.float64)
        pixels = pixels[:, : pixels.shape[1] // 2]  # without the colour bar
        return float(pixels[: len(pixels) // 2].mean()), float(pixels[len(pixels) // 2 :].mean())

    (first, same), (again, quiet) = brightness(1.0), brightness(0.01)
    assert first == pytest.approx(again, rel=0.05)
    assert quiet < 0.85 * same


def test_a_run_keeps_what_it_has_measured(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    first = audio.run([str(tmp_path / "a.wav")], ["flac"], tmp_path / "out", effort=1)
    assert first == audio.run([str(tmp_path / "a.wav")], ["flac"], tmp_path / "out", effort=1) == audio.load(tmp_path / "out")
