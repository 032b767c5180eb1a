"""What the perceptual measures take most time for, compiled: each measure of one plane with its gradient, and colours.

A measure is one number, so its gradient is a factor times one plane, which is made in the same passes as the number. Each pass works on
tiles in a buffer of its own, as the compiler asks of every two arrays of a loop whether they overlap, and gives up where there are many.
"""

import numpy as np
from numba import uintp

from ..arrays import Float32Array
from ..field.tiles import PARTS, TILE, compiled, in_parts

T = uintp(TILE)
CUBE_ROOT = 709971077  # where the bits of a third of a float32's exponent start: Newton's method begins 3 % away from the root
FIFTH_ROOT = 851855292  # of a fifth


def moments(values: Float32Array, source: Float32Array, out: Float32Array) -> None:
    """out `[3, H, W]`: the values `[H, W]`, their squares, and their products with the source."""
    in_parts(len(values), values.size, lambda _, first, last: _moments(values, source, out, first, last))


@compiled
def _moments(values, source, out, first, last):  # type: ignore[no-untyped-def]
    n = uintp(values.shape[1])
    for y in range(first, last):
        row, other = values[y], source[y]
        copy, square, both = out[0, y], out[1, y], out[2, y]
        for k in range(n):
            copy[k] = row[k]
        for k in range(n):
            square[k] = row[k] * row[k]
        for k in range(n):
            both[k] = row[k] * other[k]


def gathered(slopes: Float32Array, direct: Float32Array, values: Float32Array, source: Float32Array) -> None:
    """Adds to `direct` the adjoint of `moments`: slopes `[3, H, W]` by the three."""
    in_parts(len(values), values.size, lambda _, first, last: _gathered(slopes, direct, values, source, first, last))


@compiled
def _gathered(slopes, direct, values, source, first, last):  # type: ignore[no-untyped-def]
    n = uintp(values.shape[1])
    for y in range(first, last):
        total, row, other = direct[y], values[y], source[y]
        by_value, by_square, by_product = slopes[0, y], slopes[1, y], slopes[2, y]
        for k in range(n):
            total[k] += by_value[k] + 2 * row[k] * by_square[k]
        for k in range(n):
            total[k] += other[k] * by_product[k]


def differences(values: Float32Array, blurred: Float32Array, source: Float32Array, constant: float) -> list[float]:
    """The means of SSIMULACRA 2's maps, and of their fourth powers: of similarity, artefacts and lost edges.

    Args:
        values: `[H, W]`.
        blurred: `[3, H, W]` of its moments.
        source: `[3, H, W]`: its mean and its variance, and 1 + how far it is from its mean.
        constant: of the similarity, keeps flat areas from counting.
    """
    found = np.zeros((PARTS, 6))
    in_parts(len(values), values.size, lambda part, first, last: _sums(values, blurred, source, np.float32(constant), found[part], first, last))
    return [float(total) / values.size for total in found.sum(0)]


@compiled
def _load(tile, slot, row, at, n):  # type: ignore[no-untyped-def]
    p, q = uintp(slot) * T, uintp(at)
    for k in range(n):
        tile[p + k] = row[q + k]


@compiled
def _load_seven(tile, values, blurred, source, y, at, n):  # type: ignore[no-untyped-def]
    _load(tile, 0, values[y], at, n)
    for number in range(3):
        _load(tile, 1 + number, blurred[number, y], at, n)
        _load(tile, 4 + number, source[number, y], at, n)


@compiled
def _sums(values, blurred, source, constant, totals, first, last):  # type: ignore[no-untyped-def]
    width, tile = values.shape[1], np.empty(7 * TILE, np.float32)
    for y in range(first, last):
        for at in range(0, width, TILE):
            n = uintp(min(TILE, width - at))
            _load_seven(tile, values, blurred, source, y, at, n)
            unlike = artefacts = lost = unlike4 = artefacts4 = lost4 = np.float32(0)
            for k in range(n):
                value, mean, square, product = tile[k], tile[T + k], tile[2 * T + k], tile[3 * T + k]
                own, variance, edges = tile[4 * T + k], tile[5 * T + k], tile[6 * T + k]
                near = np.float32(1) - (mean - own) * (mean - own)
                structure = (np.float32(2) * (product - mean * own) + constant) / (square - mean * mean + variance + constant)
                away = max(np.float32(1) - near * structure, np.float32(0))
                ratio = (np.float32(1) + abs(value - mean)) / edges - np.float32(1)
                more, less = max(ratio, np.float32(0)), max(-ratio, np.float32(0))
                away2, more2, less2 = away * away, more * more, less * less
                unlike += away
                artefacts += more
                lost += less
                unlike4 += away2 * away2
                artefacts4 += more2 * more2
                lost4 += less2 * less2
            totals[0] += unlike
            totals[1] += unlike4
            totals[2] += artefacts
            totals[3] += artefacts4
            totals[4] += lost
            totals[5] += lost4


def similarities(blurred: Float32Array, source: Float32Array, constants: tuple[float, float], slopes: Float32Array) -> list[float]:
    """The means of MS-SSIM's map of each channel.

    Args:
        blurred: `[3, C, H, W]` of the moments of a scale.
        source: `[2, C, H, W]`: its mean and its variance.
        constants: of brightness and of structure; the first is 0 where brightness does not count.
        slopes: `[3, C, H, W]`, becomes the gradients by `blurred`, each channel's of its own mean.
    """
    _, channels, height, width = blurred.shape
    found = np.zeros((PARTS, channels))
    first, second = (np.float32(constant) for constant in constants)

    def part(number: int, top: int, bottom: int) -> None:
        _similarities(blurred, source, first, second, np.float32(1 / (height * width)), slopes, found[number], top, bottom)

    in_parts(height, blurred[0].size, part)
    return [float(total) / (height * width) for total in found.sum(0)]


@compiled
def _similarities(blurred, source, c1, c2, weight, slopes, totals, first, last):  # type: ignore[no-untyped-def]
    width, tile = blurred.shape[3], np.empty(5 * TILE, np.float32)
    bright = np.float32(c1 > 0)
    for c in range(blurred.shape[1]):
        for y in range(first, last):
            for at in range(0, width, TILE):
                n = uintp(min(TILE, width - at))
                for number in range(3):
                    _load(tile, number, blurred[number, c, y], at, n)
                for number in range(2):
                    _load(tile, 3 + number, source[number, c, y], at, n)
                total = np.float32(0)
                for k in range(n):
                    mean, square, product, own, variance = tile[k], tile[T + k], tile[2 * T + k], tile[3 * T + k], tile[4 * T + k]
                    inverse = np.float32(1) / (square - mean * mean + variance + c2)
                    structure = (np.float32(2) * (product - mean * own) + c2) * inverse
                    below = np.float32(1) / (mean * mean + own * own + c1 + (np.float32(1) - bright))
                    like = (np.float32(2) * mean * own + c1) * below * bright + (np.float32(1) - bright)
                    total += structure * like
                    by_structure = np.float32(2) * (mean * structure - own) * inverse
                    by_brightness = np.float32(2) * bright * (own - mean * like) * below
                    tile[k] = weight * (like * by_structure + structure * by_brightness)
                    tile[T + k] = -weight * like * structure * inverse
                    tile[2 * T + k] = weight * np.float32(2) * like * inverse
                totals[c] += total
                for number in range(3):
                    _store(slopes[number, c, y], at, tile, number, n)


def slopes(
    values: Float32Array,
    blurred: Float32Array,
    source: Float32Array,
    constant: float,
    factors: list[list[float]],
    out: Float32Array,
    direct: Float32Array,
) -> None:
    """The gradient of a weighed sum of `differences`: of each map, factors[i][0] + factors[i][1] times its cube.

    Args:
        values, blurred, source, constant: see `differences`.
        factors: two of each map.
        out: `[3, H, W]`, becomes that by the blurred moments.
        direct: `[H, W]`, becomes that by the values.
    """
    weights = np.array(factors, np.float32).ravel()
    in_parts(
        len(values), values.size, lambda _, first, last: _slopes(values, blurred, source, np.float32(constant), weights, out, direct, first, last)
    )


@compiled
def _slopes(values, blurred, source, constant, weights, out, direct, first, last):  # type: ignore[no-untyped-def]
    width, tile = values.shape[1], np.empty(8 * TILE, np.float32)
    s, s3, a, a3, e, e3 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    for y in range(first, last):
        for at in range(0, width, TILE):
            n = uintp(min(TILE, width - at))
            _load_seven(tile, values, blurred, source, y, at, n)
            for k in range(n):
                value, mean, square, product = tile[k], tile[T + k], tile[2 * T + k], tile[3 * T + k]
                own, variance, edges = tile[4 * T + k], tile[5 * T + k], tile[6 * T + k]
                apart = mean - own
                near = np.float32(1) - apart * apart
                inverse = np.float32(1) / (square - mean * mean + variance + constant)
                structure = (np.float32(2) * (product - mean * own) + constant) * inverse
                away = np.float32(1) - near * structure
                away = max(away, np.float32(0))
                slope = (s + s3 * away * away * away) * np.float32(away > 0)
                # Of 1 - near structure: by the mean, by the mean of squares and by the mean of products.
                by_mean = slope * np.float32(2) * (apart * structure - near * (mean * structure - own) * inverse)
                by_square = slope * near * structure * inverse
                by_product = np.float32(-2) * slope * near * inverse
                ratio = (np.float32(1) + abs(value - mean)) / edges - np.float32(1)
                more, less = max(ratio, np.float32(0)), max(-ratio, np.float32(0))
                steep = (a + a3 * more * more * more) * np.float32(ratio > 0) - (e + e3 * less * less * less) * np.float32(ratio < 0)
                steep = steep / edges * (np.float32(value > mean) - np.float32(value < mean))
                tile[T + k] = by_mean - steep
                tile[2 * T + k] = by_square
                tile[3 * T + k] = by_product
                tile[7 * T + k] = steep
            for number in range(3):
                _store(out[number, y], at, tile, 1 + number, n)
            _store(direct[y], at, tile, 7, n)


@compiled
def _store(row, at, tile, slot, n):  # type: ignore[no-untyped-def]
    p, q = uintp(slot) * T, uintp(at)
    for k in range(n):
        row[q + k] = tile[p + k]


def linear_light(picture: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Linear light of sRGB of any shape, cut to [0, 1], and its slope."""
    light, slope = np.empty_like(picture), np.empty_like(picture)
    flat, a, b = picture.reshape(-1), light.reshape(-1), slope.reshape(-1)
    in_parts(-(-flat.size // TILE), flat.size, lambda _, first, last: _linear_light(flat, a, b, first, last))
    return light, slope


@compiled
def _linear_light(flat, light, slope, first, last):  # type: ignore[no-untyped-def]
    tile, root = np.empty(3 * TILE, np.float32), np.empty(TILE, np.float32)
    for number in range(first, last):
        at = number * TILE
        n = uintp(min(TILE, len(flat) - at))
        _load(tile, 0, flat, at, n)
        for k in range(n):
            tile[T + k] = root[k] = (max(tile[k], np.float32(0)) + np.float32(0.055)) * np.float32(1 / 1.055)
        _fifth_roots(root, tile, n)
        for k in range(n):
            value, base = tile[k], tile[T + k]
            power = base * root[k] * root[k]  # base ** 1.4
            if value <= np.float32(0.04045):
                bright, steep = max(value, np.float32(0)) * np.float32(1 / 12.92), np.float32(1 / 12.92)
            else:
                bright, steep = min(base * power, np.float32(1)), np.float32(2.4 / 1.055) * power
            tile[T + k] = bright
            tile[2 * T + k] = steep * np.float32(value >= 0) * np.float32(value <= 1)
        _store(light, at, tile, 1, n)
        _store(slope, at, tile, 2, n)


@compiled
def _fifth_roots(x, tile, n):  # type: ignore[no-untyped-def]
    """x becomes its own fifth root. It is in tile[T:] too. Newton's method, from a fifth of the bits of the number."""
    bits = x.view(np.int32)
    for k in range(n):
        bits[k] = np.int32(np.float32(bits[k]) * np.float32(0.2)) + np.int32(FIFTH_ROOT)
    for k in range(n):
        value, root = tile[T + k], x[k]
        for _ in range(3):
            root = np.float32(0.8) * root + np.float32(0.2) * value / (root * root * root * root)
        x[k] = root


def opponents(light: Float32Array, matrix: Float32Array, bias: float, third: bool) -> tuple[Float32Array, Float32Array]:
    """Planes Y, X and B of linear light `[3, N]`, without what is added to them to be positive, and the cube roots they are made of, both `[3, N]`.

    Args:
        light: red, green and blue.
        matrix: `[3, 3]`, by which the cones see them.
        bias: light that they see in the dark.
        third: whether there is B; if not, it is left as it is in memory.
    """
    out, roots = np.empty_like(light), np.empty_like(light)
    size = light.shape[1]
    cones = 3 if third else 2
    in_parts(-(-size // TILE), size, lambda _, first, last: _opponents(light, matrix, np.float32(bias), cones, out, roots, first, last))
    return out, roots


@compiled
def _opponents(light, matrix, bias, cones, out, roots, first, last):  # type: ignore[no-untyped-def]
    tile, root = np.empty(6 * TILE, np.float32), np.empty(TILE, np.float32)
    dark = bias ** np.float32(1 / 3)
    for number in range(first, last):
        at = number * TILE
        n = uintp(min(TILE, light.shape[1] - at))
        for channel in range(3):
            _load(tile, channel, light[channel], at, n)
        for cone in range(cones):
            red, green, blue, p = matrix[cone, 0], matrix[cone, 1], matrix[cone, 2], uintp(3 + cone) * T
            for k in range(n):
                tile[p + k] = root[k] = red * tile[k] + green * tile[T + k] + blue * tile[2 * T + k] + bias
            _cube_roots(root, tile, p, n)
            for k in range(n):
                tile[p + k] = root[k]
            _store(roots[cone], at, tile, 3 + cone, n)
        for k in range(n):
            long, middle = tile[3 * T + k], tile[4 * T + k]
            tile[k] = np.float32(0.5) * (long + middle) - dark
            tile[T + k] = np.float32(7) * (long - middle)
            tile[2 * T + k] = tile[5 * T + k] - np.float32(0.5) * (long + middle)
        for plane in range(cones):
            _store(out[plane], at, tile, plane, n)


@compiled
def _cube_roots(x, tile, p, n):  # type: ignore[no-untyped-def]
    """x becomes its own cube root. It is in tile[p:] too."""
    bits = x.view(np.int32)
    for k in range(n):
        bits[k] = np.int32(np.float32(bits[k]) * np.float32(1 / 3)) + np.int32(CUBE_ROOT)
    for k in range(n):
        value, root = tile[p + k], x[k]
        for _ in range(3):
            root = np.float32(2 / 3) * root + np.float32(1 / 3) * value / (root * root)
        x[k] = root


def opponents_adjoint(slopes: Float32Array, roots: Float32Array, matrix: Float32Array, third: bool) -> Float32Array:
    """The gradient `[3, N]` by the light, of that by the planes Y, X and B; see `opponents`."""
    size = slopes.shape[1]
    out = np.empty((3, size), np.float32)
    cones = 3 if third else 2
    in_parts(-(-size // TILE), size, lambda _, first, last: _opponents_adjoint(slopes, roots, matrix, cones, out, first, last))
    return out


@compiled
def _opponents_adjoint(slopes, roots, matrix, cones, out, first, last):  # type: ignore[no-untyped-def]
    tile = np.zeros(9 * TILE, np.float32)
    for number in range(first, last):
        at = number * TILE
        n = uintp(min(TILE, slopes.shape[1] - at))
        for plane in range(cones):
            _load(tile, plane, slopes[plane], at, n)
            _load(tile, 3 + plane, roots[plane], at, n)
        for k in range(n):
            brightness, red_green, blue = tile[k], tile[T + k], tile[2 * T + k]
            grey = np.float32(0.5) * (brightness - blue)
            tile[k] = grey + np.float32(7) * red_green
            tile[T + k] = grey - np.float32(7) * red_green
        for cone in range(cones):
            p, q = uintp(cone) * T, uintp(3 + cone) * T
            for k in range(n):
                tile[p + k] *= np.float32(1 / 3) / (tile[q + k] * tile[q + k])
        for channel in range(3):
            long, middle, short, p = matrix[0, channel], matrix[1, channel], matrix[2, channel], uintp(6 + channel) * T
            for k in range(n):
                tile[p + k] = long * tile[k] + middle * tile[T + k] + short * tile[2 * T + k]
            _store(out[channel], at, tile, 6 + channel, n)
