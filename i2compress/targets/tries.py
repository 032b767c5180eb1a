"""What was tried: fits and files, what was asked for and what came of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..config import EncodeSettings, Search
from ..container import chunk_sizes
from ..media.protocol import Coded
from ..media.table import medium_of_file

FITS, HURRIED = 5, 2  # at most, and where a time limit is shared
RESCUES, RESCUE_TIME = 3, 0.2  # short fits under a larger lambda, at most, where one in time came out too large; and their share of its time
STRAYED = 0.4  # of ln(lambda): a fit that had to raise it by more has spent bits that come back slowly, and is made anew where it ended
FALLEN = 1.5  # the same of a fit towards a quality that had to lower it, whose latents were starved at first


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A file, and how close it is to its source."""

    coded: Coded
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Try:
    """One encode: what was asked for (ln(lambda), or what a fit aimed at), with which settings, and what came of it."""

    asked: float
    settings: EncodeSettings
    found: float = math.nan
    made: Attempt | None = None

    @property
    def passes(self) -> int:
        """Its steps on each part of the signal."""
        return 0 if self.made is None else self.made.coded.passes

    @property
    def kind(self) -> str:
        """Of a search that continues: short, whole or last."""
        search = self.settings.search
        if search is None:
            return "whole"
        return "coded" if search.recoded else "last" if search.last_part else "whole" if search.share == 1 else "short"

    @property
    def base(self) -> Search:
        """Of a search that continues: the fit that it is, or that it codes once more."""
        assert self.settings.search is not None
        return self.settings.search._replace(weights=1.0)

    @property
    def share(self) -> float:
        """And the share of that fit's bits that its weights are given."""
        assert self.settings.search is not None
        return self.settings.search.weights

    @property
    def weights(self) -> int:
        """Bytes of its weights."""
        assert self.made is not None
        return sum(chunk.size for chunk in chunk_sizes(self.made.coded.data) if chunk.type == "W")

    @property
    def distortion(self) -> float:
        """Of its file, as the fit weighs errors; by its PSNR where it cannot say."""
        assert self.made is not None
        coded = self.made.coded
        if coded.distortion_of is None:
            return -self.made.figures["psnr"]
        return coded.distortion_of(medium_of_file(coded.data).load(coded.data, partial=False, threads=None))

    @property
    def short(self) -> bool:
        """Whether its fit was only to say where others begin."""
        return self.kind == "short"

    @property
    def strayed(self) -> bool:
        """Whether its fit began too far below the lambda that it came to, or towards a quality too far above it."""
        coded = None if self.made is None else self.made.coded
        if coded is None or coded.lam is None or coded.first_lam is None:
            return False
        rise, aim = math.log(coded.lam / coded.first_lam), self.settings.aim
        return rise > STRAYED or (rise < -FALLEN and aim is not None and aim.measure != "size")
