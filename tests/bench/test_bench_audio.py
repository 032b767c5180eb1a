"""The audio benchmark's measures, and its peers where their libraries are there."""

import io
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import curve
from sounds import RATE, chord, wav

from i2compress.bench import audio, measure
from i2compress.bench.audio import AUDIO, draw, nearest, spectrograms
from i2compress.bench.benchmark import Point, Source
from i2compress.bench.codec import FitOptions, Sound, Work
from i2compress.bench.results import against
from i2compress.bench.store import Store, read_results, results_json
from i2compress.cli import main
from i2compress.cli.bench_options import check_qualities, open_store
from i2compress.cli.output import Output

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "audio"


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
    codec = AUDIO.codecs[name]
    if reason := codec.missing():
        pytest.skip(reason)
    values = np.clip(chord(0.7, channels, rate), -1, 1 - 2**-15).astype(np.float64)
    source = Sound(values=values, rate=rate, bit_depth=16, floating=False)
    data = codec.encode(source, Work(quality=96)).data
    decoded = AUDIO.comparable(source, codec.decode(data, 1))
    assert AUDIO.metrics["snr"].measure(source, decoded) > (60 if name == "flac" else 8)  # type: ignore[operator]
    assert len(data) < values.size * 2


def test_the_points_that_are_published_are_read_and_not_measured_again() -> None:
    """results.json of runs before sound joined the other kinds, without the coded files."""
    pytest.importorskip("bjontegaard")
    found = read_results(PUBLISHED, AUDIO)
    assert len(found) == len(json.loads((PUBLISHED / "results.json").read_text())["points"]) > 150
    store = Store(folder=PUBLISHED, benchmark=AUDIO, metrics=tuple(AUDIO.metrics.values()), earlier=tuple(found))
    source = Source(name="gt_bach", path="gt_bach.wav", digest="x")
    point = store.get(source, AUDIO.codecs["aac"], Work(quality=16, threads=1))
    assert (point.bytes, store.lacking(point)) == (16435, [])
    assert store.find(source, AUDIO.codecs["i2c"], AUDIO.codecs["i2c"].work(15, FitOptions(effort=4))) is None
    for other in (Work(quality=16, threads=4), Work(quality=16, steps=9), Work(quality=16, seed=1)):
        assert store.find(source, AUDIO.codecs["aac"], other) is None
    (figure,) = [bd for bd in against(found, "opus", store.metrics, overlap=0) if (bd.codec, bd.metric) == ("i2c-snr", "snr")]
    assert figure.rates["gt_bach"] == pytest.approx(-85.0, abs=0.1)


def test_a_bench_of_sound_writes_what_a_bench_of_pictures_does_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opus", "flac"):
        if reason := AUDIO.codecs[name].missing():
            pytest.skip(reason)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    args = ["bench", "audio", "a.wav", "--codecs", "opus,flac", "--qualities", "opus=16,32,64,128", "--jobs", "1"]
    assert main([*args, "--out", "out"]) == 0
    first = (tmp_path / "out" / "results.json").read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"opus.json", "points.csv", "results.md", "report.html", "results.json"}
    assert "![spectrogram-a](spectrogram-a.png)" in (tmp_path / "out" / "results.md").read_text() or not find_spec("matplotlib")
    assert "| a | opus | 16 |" in (tmp_path / "out" / "results.md").read_text()
    assert '"bitrate": [' in (tmp_path / "out" / "opus.json").read_text()

    def never(*args: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(measure, "encode", never)
    assert main([*args, "--out", "out"]) == 0
    (tmp_path / "committed").mkdir()
    (tmp_path / "committed" / "results.json").write_bytes(first)
    (tmp_path / "committed" / "spectrogram-a.png").write_bytes(b"drawn before")
    assert main([*args, "--out", "committed"]) == 0
    again = json.loads((tmp_path / "committed" / "results.json").read_bytes())
    assert again["points"] == json.loads(first)["points"]


def folder_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "results.json").write_text(text)
    return tmp_path


OLD = {"source": "a", "codec": "flac", "point": 0, "bytes": 10, "bitrate": 80, "snr": None, "lsd": 0, "encoding_time": 1, "decoding_time": 1}


def test_a_point_without_a_digest_keeps_the_origin_that_it_was_read_with(tmp_path: Path) -> None:
    first = {"machine": "m", "commit": "first", "date": "2026"}
    points = read_results(folder_of(tmp_path, json.dumps({"origin": first, "points": [OLD]})), AUDIO)
    written = results_json(points, AUDIO, {**first, "commit": "second"})
    (again,) = read_results(folder_of(tmp_path, written), AUDIO)
    assert again.origin == first and again.digest == "" and "digest" not in json.loads(written)["points"][0]


def test_an_snr_of_inf_is_null_in_the_file_and_inf_again_when_read(tmp_path: Path) -> None:
    (point,) = read_results(folder_of(tmp_path, json.dumps({"points": [OLD]})), AUDIO)
    assert point.metrics["snr"] == np.inf
    text = results_json([point], AUDIO, {})
    assert json.loads(text, parse_constant=pytest.fail)["points"][0]["snr"] is None
    assert "Infinity" not in (PUBLISHED / "results.json").read_text()


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"points": [', '{"points": [{"codec": "opus"}]}', '{"points": [3]}', json.dumps({"points": [{**OLD, "bitrate": 0}]})]
)
def test_results_that_are_none_are_said_in_a_sentence(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    folder_of(tmp_path, text)
    assert main(["bench", "audio", str(tmp_path / "a.wav"), "--codecs", "flac", "--out", str(tmp_path)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ") and "results.json" in said and "choose another folder" in said


def test_points_of_a_codec_that_is_gone_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of(tmp_path, json.dumps({"points": [OLD, {**OLD, "codec": "vorbis"}]}))
    store, _ = open_store("audio", str(tmp_path), Output("bench", as_json=False, quiet=False, debug=False))
    assert [point.codec for point in store.earlier] == ["flac"]
    assert "vorbis" in capsys.readouterr().err


@pytest.mark.parametrize("qualities", ["i2c=101", "opus=0", "0,50", "flac=600"])
def test_a_quality_beyond_its_codecs_scale_is_refused_before_any_work(
    qualities: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("opus", "flac"):
        if reason := AUDIO.codecs[name].missing():
            pytest.skip(reason)
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    monkeypatch.setattr(measure, "encode", lambda *args: pytest.fail("encoded"))
    args = ["bench", "audio", str(tmp_path / "a.wav"), "--codecs", "opus,flac,i2c", "--qualities", qualities, "--out", str(tmp_path / "out")]
    assert main(args) == 2
    assert capsys.readouterr().err.startswith("error: qualit")
    check_qualities([AUDIO.codecs["flac"], AUDIO.codecs["i2c"]], {"flac": [0], "i2c": [0, 100]})


class Known:
    """A folder whose coded files are all of Opus at 24 kbps, or gone."""

    def __init__(self, folder: Path, gone: bool) -> None:
        self.folder, self.gone = folder, gone
        self.asked: list[str] = []

    def holds(self, source: Source, point: Point) -> bool:
        return not self.gone

    def coded(self, source: Source, point: Point) -> bytes:
        self.asked.append(point.codec)
        return AUDIO.codecs["opus"].encode(AUDIO.read(source.path), Work(quality=24)).data


def test_spectrograms_show_the_points_next_to_24_kbps_and_those_of_older_results_stay(tmp_path: Path) -> None:
    if reason := AUDIO.codecs["opus"].missing():
        pytest.skip(reason)
    pytest.importorskip("matplotlib")
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    points = [replace(point, bpp=1000 * point.bpp) for point in (*curve("opus", factor=10), *curve("mp3", factor=10))]
    assert [point.codec for point in nearest(points, "a")] == ["opus"]
    assert all(abs(np.log(best.bpp / 24000)) <= abs(np.log(p.bpp / 24000)) for best in nearest(points, "a") for p in points if p.codec == best.codec)
    sources, files = [Source(name="a", path=str(tmp_path / "a.wav"), digest="")], Known(tmp_path, gone=True)
    drawn = spectrograms(points, sources, files)
    assert (list(drawn), files.asked) == (["spectrogram-a.png"], ["opus"])
    (tmp_path / "spectrogram-a.png").write_bytes(b"drawn before")
    assert spectrograms(points, sources, files) == spectrograms(points, [], files) == {"spectrogram-a.png": b"drawn before"}
    assert spectrograms(points, sources, Known(tmp_path, gone=False)) == drawn


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


@pytest.mark.slow
def test_i2c_is_benched_on_sound(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(chord(0.3)))
    out = str(tmp_path / "out")
    assert main(["bench", "audio", str(tmp_path / "a.wav"), "--codecs", "i2c-snr", "--qualities", "50", "--steps", "3", "--out", out]) == 0
    assert "i2c on cpu" in (tmp_path / "out" / "results.md").read_text()
