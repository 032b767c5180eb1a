"""What i2c bench scale says of rows that are known, and what it does about pictures and codecs that fail."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from bench_fakes import photo, saved

from i2compress import cli
from i2compress.bench import i2c, scale
from i2compress.bench.benchmark import Source
from i2compress.bench.codec import Coded, FitOptions, Pixels, Work
from i2compress.bench.image import IMAGE
from i2compress.bench.scale import Enlarged, factor_table, pictures_table, verdict_table, verdicts, write_all
from i2compress.bench.store import Store, digest
from i2compress.errors import I2Error


def row(source: str, codec: str, method: str, psnr: float, quality: float = 50) -> Enlarged:
    metrics: dict[str, float | None] = {"psnr-rgb": psnr, "ssim-rgb": psnr / 100}
    return Enlarged(source=source, factor=2, codec=codec, method=method, bytes=500, case=quality, quality=quality, metrics=metrics)


ROWS = [
    *(row("a", "i2c", "field", 31), row("a", "i2c", "lanczos", 30), row("a", "avif", "lanczos", 32)),
    *(row("b", "i2c", "field", 33), row("b", "i2c", "lanczos", 32), row("b", "avif", "lanczos", 31)),
    *(row("c", "i2c", "field", 10), row("c", "i2c", "lanczos", 20)),  # AVIF failed here
    Enlarged(source="a", factor=2, codec="uncoded", method="lanczos", metrics={"psnr-rgb": 50.0, "ssim-rgb": 1.0}),
]


def test_the_winner_is_that_of_means_over_pictures_that_every_codec_has() -> None:
    psnr, _ = verdicts(ROWS)
    assert (psnr.winner, psnr.won, psnr.cases) == (("i2c", "field"), 1, 2)
    assert psnr.means == {("i2c", "field"): 32, ("i2c", "lanczos"): 31, ("avif", "lanczos"): 31.5}
    assert "| 2x | PSNR RGB [dB] | i2c by field | 32.00 | 31.00 | 31.50 | 1 of 2 |" in verdict_table(verdicts(ROWS))


def test_the_best_coded_way_is_in_bold_and_every_picture_has_its_line() -> None:
    table = factor_table(ROWS, 2)
    assert "| i2c | field | 500 | **32.00** |" in table and "| uncoded | lanczos | - | 50.00 |" in table
    lines = pictures_table(ROWS).splitlines()
    assert "| a | 2x | 50 | avif by lanczos | avif by lanczos | -1.00 | -0.0100 |" in lines
    assert "| b | 2x | 50 | i2c by field | i2c by field | +1.00 | +0.0100 |" in lines


def test_qualities_are_not_rounded_and_what_is_equal_to_its_source_is_null(tmp_path: Path) -> None:
    rows = [row("a", "i2c", method, math.inf, 52.5) for method in ("field", "lanczos")]
    assert "| a | 2x | 52.5 | i2c by field | i2c by field | - | - |" in pictures_table(rows)
    write_all(rows, {}, tmp_path)
    assert json.loads((tmp_path / "scale.json").read_text(), parse_constant=pytest.fail)["rows"][0]["metrics"]["psnr-rgb"] is None
    assert (tmp_path / "scale.csv").read_text().splitlines()[:2] == [
        "source,factor,codec,method,bytes,case,quality,psnr-rgb,ssim-rgb",
        "a,2,i2c,field,500,52.5,52.5,inf,inf",
    ]


def test_uncoded_means_are_over_the_pictures_of_the_others() -> None:
    left_out = Enlarged(source="c", factor=2, codec="uncoded", method="lanczos", metrics={"psnr-rgb": 10.0, "ssim-rgb": 0.0})
    assert factor_table([*ROWS, left_out], 2) == factor_table(ROWS, 2)


def test_what_failed_is_named_in_the_files(tmp_path: Path) -> None:
    write_all(ROWS, {"c 1/2 q50, avif": I2Error("no")}, tmp_path)
    record = json.loads((tmp_path / "scale.json").read_text())
    assert (len(record["rows"]), record["failed"]) == (len(ROWS), {"c 1/2 q50, avif": "no"})
    assert record["verdicts"][0]["winner"] == ["i2c", "field"]
    assert "- **c 1/2 q50, avif**: no" in (tmp_path / "scale.md").read_text()


def test_a_picture_that_is_too_small_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The field is JPEG here, enlarged by repetition."""
    jpeg = IMAGE.codecs["jpeg"]
    store = Store(folder=tmp_path / "out", benchmark=IMAGE, metrics=(IMAGE.metrics["psnr-rgb"],))

    def enlarged(data: bytes, threads: int | None, *, scale: float | None = None) -> Pixels:
        return jpeg.decode(data, 1).repeat(2, 0).repeat(2, 1)  # type: ignore[no-any-return]

    def failing(samples: Pixels, work: Work) -> Coded:
        raise I2Error("no")

    monkeypatch.setattr(i2c, "PICTURE", jpeg)
    monkeypatch.setattr(i2c, "decode_picture", enlarged)
    paths = [saved(tmp_path / "a.png"), saved(tmp_path / "small.png", photo(20, 20))]
    sources = [Source(name=Path(path).stem, path=path, digest=digest(IMAGE.read(path))) for path in paths]
    peers = [replace(IMAGE.codecs["webp"], encode=failing)]
    rows, failed = scale.bench(sources, peers, store, FitOptions(threads=1), qualities=[50], factors=[2])
    assert {name: str(error)[:20] for name, error in failed.items()} == {"a 1/2 q50, webp": "no", "small 1/2 q50": paths[1][:20]}
    assert {(entry.codec, entry.method) for entry in rows} >= {("jpeg", "field"), ("jpeg", "lanczos"), ("uncoded", "bicubic")}


def test_pictures_that_all_fail_are_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "small.png", photo(20, 20))
    assert cli.main(["bench", "scale", "small.png", "--codecs", "avif", "--qualities", "50", "--factors", "2", "--out", "out"]) == 1
    assert "expected at least 16x16" in capsys.readouterr().err
