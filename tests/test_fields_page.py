"""The Python of docs/fields.md runs as it stands, and its tables say what the code does."""

import re
from pathlib import Path

from i2compress.field.anderson import Anderson
from i2compress.field.broyden import Broyden
from i2compress.field.coordinate_field import ANEW, CHEAPEST, REUSE
from i2compress.field.coordinate_spec import CoordinateSpec
from i2compress.field.implicit import Neumann, Phantom

PAGE = (Path(__file__).parent.parent / "docs" / "fields.md").read_text(encoding="utf-8")


def test_the_examples_run_in_order() -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, names)


def test_the_defaults_that_the_page_names_are_those_of_the_code() -> None:
    assert (Anderson().memory, Broyden().memory) == (5, 12)
    assert CoordinateSpec(kind="siren", axes=1, channels=1).rho == 0.97
    assert REUSE.gradient == ANEW.gradient == Neumann(terms=2)
    assert (REUSE.stop.iterations, CHEAPEST.stop.iterations, CHEAPEST.gradient) == (1, 0, Phantom(steps=1))
