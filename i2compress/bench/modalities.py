"""The kinds of media that can be benchmarked: another one is one module and one line here."""

from .image import IMAGE
from .parts import Modality
from .sound import AUDIO

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (IMAGE, AUDIO)}
