"""i2c bench and i2c compare, end to end on small pictures."""

import json
import re
from pathlib import Path

import pytest
from bench_fakes import photo, saved
from PIL import Image

from i2compress import cli
from i2compress.bench import image, plots

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with two pictures, to be in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for index, name in enumerate("ab"):
        saved(tmp_path / "in" / f"{name}.png", photo(seed=index))
    return tmp_path


def bench(*more: str) -> int:
    return cli.main(["bench", "image", "in", "--codecs", "jpeg,webp", "--threads", "1", "--out", "out", "--qualities", "20,40,60,80", *more])


def width(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.width


def test_a_bench_writes_compressai_json_csv_markdown_plots_and_a_report(folder: Path) -> None:
    pytest.importorskip("pytorch_msssim")
    pytest.importorskip("matplotlib")
    assert bench() == 0
    jpeg = json.loads((folder / "out" / "jpeg.json").read_text())
    assert set(jpeg) >= {"name", "description", "results", "meta"}
    assert [len(jpeg["results"][key]) for key in ("bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time")] == [4] * 5
    assert set(jpeg["meta"]) == {"command", "machine", "commit", "date", "versions", "device"}
    assert len((folder / "out" / "points.csv").read_text().splitlines()) == 1 + 2 * 2 * 4
    table = (folder / "out" / "results.md").read_text()
    assert "| jpeg | 20 |" in table
    assert re.search(r"Tables made on .*, at commit .*, 20\d\d-", table) and re.search(r"Points measured on .*, on 20\d\d-\d\d-\d\d\.", table)
    assert re.search(r"BD-rate psnr-rgb of each source against \*\*webp\*\*:\n\n\| source \| jpeg \|\n.*\n\| a \| .*\n\| b \| .*\n\| mean \|", table)
    if plots.available():
        assert width(folder / "out" / "psnr-rgb.png") > 500


def test_the_report_needs_no_other_file_and_no_script_of_others(folder: Path) -> None:
    assert bench() == 0
    html = (folder / "out" / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert "{{" not in html
    pictures = json.loads(html.split('id="pictures">')[1].split("</script>")[0])
    assert [item["label"] for item in pictures["a"]] == ["source", "jpeg", "webp"]


def test_the_anchor_is_named_and_a_second_run_says_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bjontegaard")
    assert bench("--anchor", "jpeg") == 0
    first = capsys.readouterr().out
    assert "Anchor: **jpeg**" in first
    assert bench("--anchor", "jpeg") == 0
    assert capsys.readouterr().out == first


def test_a_missing_codec_is_named_and_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(image, "find_spec", lambda name: None)
    assert cli.main(["bench", "image", "in/a.png", "--codecs", "jpeg,jxl", "--qualities", "50", "--out", "out", "--pictures", "0"]) == 0
    assert "jxl is skipped: pillow-jxl-plugin is not installed" in capsys.readouterr().err
    assert "**jxl**" in (folder / "out" / "results.md").read_text()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["bench", "image", "in", "--codecs", "tiff"], 2),
        (["bench", "image", "in", "--qualities", "200"], 2),
        (["bench", "image", "in", "--qualities", "gif=20"], 2),
        (["bench", "image", "in", "--anchor", "gif"], 2),
        (["bench", "image", "in", "-e", "12"], 2),
        (["bench", "image", "none.png"], 4),
        (["bench", "scale", "in", "--factors", "1"], 2),
        (["compare", "in/a.png"], 2),
        (["compare", "in/a.png", "--target-size", "x"], 2),
        (["compare", "in/a.png", "--target-size", "2k", "--target-psnr", "30"], 2),
        (["compare", "in", "--target-size", "2k"], 2),
    ],
)
def test_wrong_arguments_are_said_in_a_sentence(args: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == code
    # Peers that are not installed are named first, in a warning each.
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ")


def test_compare_meets_a_size_with_every_codec_and_draws_a_strip(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["compare", "in/a.png", "--target-size", "1.2k", "--codecs", "jpeg,webp", "--crop", "8,8,32,32", "--out", "out", "--json"]
    assert cli.main(args) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["input"], row["met"], 900 < row["bytes"] <= 1200) for row in rows] == [("jpeg", True, True), ("webp", True, True)]
    assert width(folder / "out" / "strip.png") > 900
    table = (folder / "out" / "compare.md").read_text()
    best = max(rows, key=lambda row: row["psnr-rgb"])
    first = next(line for line in table.splitlines() if line.startswith(("| jpeg", "| webp")))
    assert first.startswith(f"| {best['input']} |") and f"| {100 * (best['bytes'] / 1200 - 1):+.1f} % |" in first
    assert "- **jpeg**: libjpeg-turbo" in table
    assert json.loads((folder / "out" / "compare.json").read_text())["target"] == {"bytes": 1200, "psnr": None}


def test_compare_at_a_psnr_that_no_codec_reaches_fails_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "in/a.png", "--target-psnr", "70", "--codecs", "jpeg"]) == 6
    said = capsys.readouterr()
    assert "no codec met the target" in said.err and " dB, not met |" in said.out


@pytest.mark.slow
def test_scale_compares_the_field_with_filters_of_every_codec(folder: Path) -> None:
    assert cli.main(["bench", "scale", "in/a.png", "--steps", "2", "--qualities", "50", "--factors", "2", "--codecs", "avif", "--out", "out"]) == 0
    lines = (folder / "out" / "scale.csv").read_text().splitlines()[1:]
    methods = {tuple(line.split(",")[2:4]) for line in lines}
    assert {("i2c", "field"), ("i2c", "lanczos"), ("uncoded", "bicubic")} <= methods
