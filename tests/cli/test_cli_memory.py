"""--max-memory: smaller parts where they keep within it, otherwise a refusal before anything is done."""

import math
from pathlib import Path

import numpy as np
import pytest
from cli_fakes import FakeMedium, Tool
from PIL import Image

from i2compress import Signal, codec, memory
from i2compress.cli.options import Running
from i2compress.cli.run import share_memory
from i2compress.config import MOST_HALVINGS, EncodeSettings
from i2compress.errors import ResourceError, UsageError
from i2compress.fit.schedule import pyramid_schedule
from i2compress.fit.windows import windows
from i2compress.kinds import Kind
from i2compress.media import MEDIA, SignalSource
from i2compress.media.image.encode import pyramid_spec
from i2compress.origin import settings_digest


def flat(kind: Kind) -> SignalSource:
    """A large signal of that kind, none of whose samples is ever read."""
    shapes = {Kind.IMAGE: (4096, 3072, 3), Kind.AUDIO: (20_000_000, 2), Kind.VIDEO: (64, 720, 1280, 3)}
    values = np.broadcast_to(np.float32(0), shapes[kind])
    return SignalSource(Signal(values=values, kind=kind, bit_depth=8 if kind is not Kind.AUDIO else 16, rate=48000 if kind is Kind.AUDIO else None))


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.AUDIO])
def test_the_largest_parts_that_keep_within_the_limit_are_taken(kind: Kind) -> None:
    source, medium = flat(kind), MEDIA[kind]
    needs = [medium.encode_memory(source, EncodeSettings(halvings=halvings)) for halvings in range(MOST_HALVINGS + 1)]
    assert needs == sorted(needs, reverse=True) and needs[-1] < needs[0]
    for halvings, need in enumerate(needs):
        found = codec._within_memory(source, EncodeSettings(max_memory=math.ceil(need)))
        assert found.halvings == halvings
    assert codec._within_memory(source, EncodeSettings()).halvings == 0
    with pytest.raises(ResourceError, match=r"takes about \d+ MB of memory in the smallest parts, and --max-memory leaves \d+ MB; give more"):
        codec._within_memory(source, EncodeSettings(max_memory=math.floor(needs[-1] - 1)))


def test_a_halved_window_is_a_smaller_one() -> None:
    sides = []
    for halvings in range(MOST_HALVINGS + 1):
        settings = EncodeSettings(halvings=halvings)
        spec = pyramid_spec((4096, 3072), 3, settings)
        parts = windows(spec, pyramid_schedule(settings).window_side(2))
        sides.append(max(part.stop - part.start for window in parts for part in window.core[0]))
    assert sides == [1024, 512, 256, 128]


def test_a_limit_that_is_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="max memory is 0"):
        EncodeSettings(max_memory=0)
    with pytest.raises(UsageError, match="halvings is 9; expected 0 to 3"):
        EncodeSettings(halvings=9)


def test_files_that_were_made_without_a_limit_stay_up_to_date() -> None:
    assert settings_digest(EncodeSettings()).hex() == "cb62755ff7b54aee"
    assert settings_digest(EncodeSettings(max_memory=10**9)) != settings_digest(EncodeSettings())


def test_all_processes_together_keep_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2compress.cli.run.cores", lambda: 8)
    monkeypatch.setattr("i2compress.cli.run.used", lambda: 100_000_000)
    assert share_memory(Running(jobs="8"), 100, least=1, workers=3) == (None, 3)
    assert share_memory(Running(max_memory="2G"), 100, least=500_000_000) == (2_000_000_000, 1)
    assert share_memory(Running(max_memory="2.1G", jobs="8"), 100, least=500_000_000) == (500_000_000, 4)
    assert share_memory(Running(max_memory="2.1G", jobs="8"), 100, least=500_000_000, workers=2) == (1_000_000_000, 2)
    assert share_memory(Running(max_memory="10M", jobs="8"), 100, least=500_000_000) == (10_000_000, 1)
    assert share_memory(Running(max_memory="2G", cluster="auto"), 100, least=1) == (2_000_000_000, None)
    with pytest.raises(UsageError, match="max memory is 'much'; expected bytes such as"):
        share_memory(Running(max_memory="much"), 1, least=1)


def test_what_a_process_has_had_is_known() -> None:
    assert 10**7 < memory.used() < 10**12


def test_what_does_not_fit_is_refused_before_it_is_begun_and_the_others_go_on(
    i2c: Tool, codec: FakeMedium, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def need(source: SignalSource, settings: EncodeSettings) -> float:
        return 1e9 * source.layout.samples / 64

    monkeypatch.setattr(codec, "encode_memory", need)
    for name, side in (("large", 16), ("small", 8)):
        Image.new("RGB", (side, side)).save(f"{name}.png")
    assert i2c("encode", "large.png", "small.png", "--max-memory", "2G") == 1
    assert "takes about 4000 MB of memory" in i2c.err and "2000 MB" in i2c.err
    assert Path("small.i2").exists() and not Path("large.i2").exists() and len(codec.settings) == 1
    assert i2c("encode", "large.png", "--max-memory", "2G") == 7 and not Path("large.i2").exists()
    assert i2c("encode", "large.png", "--max-memory", "4G") == 0
    assert i2c("decode", "large.i2", "--max-memory", "10M") == 7 and not Path("large.i2.png").exists()
    assert "decoding takes about 80 MB of memory, and --max-memory leaves 10 MB; give more" in i2c.err
    assert i2c("verify", "large.i2", "--max-memory", "10M") == 7
    assert i2c("decode", "large.i2", "--max-memory", "200M") == 0


def test_an_output_that_is_held_until_it_is_complete_counts(i2c: Tool, codec: FakeMedium) -> None:
    Image.new("RGB", (8, 8)).save("a.png")
    assert i2c("encode", "a.png") == 0
    assert i2c("decode", "a.i2", "--size", "5000x5000", "--format", "webp", "--max-memory", "200M") == 7  # 2 x 75 MB, and the process
    assert not list(Path.cwd().glob("*.webp"))
