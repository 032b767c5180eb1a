"""Trained priors: tables of integers that a file's weights are coded as differences from. Placeholder docstring."""

KNOTS = (28, 38, 48, 58, 68)  # step codes, from lambda 2.2e-5 to 2.3e-2
KNOT_GAP = 10


def knot_weights(step_code: float) -> list[float]:
    """How much each of KNOTS counts at a step code, by linear interpolation; beyond the ends, the end."""
    place = min(max(step_code, KNOTS[0]), KNOTS[-1])
    return [max(0.0, 1 - abs(place - knot) / KNOT_GAP) for knot in KNOTS]
