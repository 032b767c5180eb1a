"""The quality of a decoded picture, as targets and scores measure it."""

from collections.abc import Callable

from ...arrays import Float32Array
from ...metrics import Comparison
from ...signal import Layout, to_codes


def compare(comparison: Comparison, found: Float32Array, wanted: Float32Array, layout: Layout, importance: Float32Array | None) -> None:
    """Adds rows `[h, W, C]` of values to the comparison of a picture: their code values at the source's depth."""
    comparison.add(to_codes(found, layout.bit_depth), to_codes(wanted, layout.bit_depth), importance)


def judge_of(measure: str, wanted: Float32Array, layout: Layout, importance: Float32Array | None) -> Callable[[Float32Array], float]:
    """What finds a decoded picture's quality.

    Args:
        measure: "psnr" or "ssimulacra2".
        wanted: `[H, W, C]`, the source.
        layout: of it.
        importance: weights of the squared errors, of the same shape; None for 1.
    """

    def squares(found: Float32Array) -> float:
        comparison = Comparison()
        compare(comparison, found, wanted, layout, importance)
        return comparison.psnr(2**layout.bit_depth - 1)

    def seen(found: Float32Array) -> float:
        from ...fit import ssimulacra2

        return ssimulacra2(wanted, found)

    return squares if measure == "psnr" else seen
