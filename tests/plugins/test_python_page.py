"""The examples of docs/python.md run, in the order in which they stand there."""

import re
from pathlib import Path

import pytest
from PIL import Image
from plugin_pictures import picture

from i2compress import efforts
from i2compress.efforts import EFFORTS, Effort

ROOT = Path(__file__).parent.parent.parent


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for level in EFFORTS:
        monkeypatch.setitem(efforts.EFFORTS, level, Effort(3, 1))
    Path("photo.i2").write_bytes(picture(3, 8))
    Image.linear_gradient("L").convert("RGB").resize((40, 30)).save("photo.png")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "python.md", "exec"), {})
    assert Path("thumbnail.jpg").exists() and Path("copy.i2").exists()
