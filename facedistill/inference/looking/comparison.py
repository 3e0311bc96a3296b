"""Compares two photographs, and says all that the page shows of it as JSON values."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from facedistill.crops.codec import encode
from facedistill.inference.face import Face, FaceFinder, PhotographError
from facedistill.inference.looking import words
from facedistill.inference.looking.portrait import PIXELS, portrait
from facedistill.inference.looking.scale import scale
from facedistill.inference.model import FaceModel

if TYPE_CHECKING:
    from facedistill.data.detector import Detector

PLACES = ("first", "second")


class Comparison:
    """Compares photographs by one model, one pair at a time: a photograph of 67 megapixels takes 0.8 GB.

    detector, finder: find the faces; without either they are taken as centred.

    Raises ModelFileError if the model has no threshold.
    """

    def __init__(self, model: FaceModel, detector: Detector | None = None, finder: FaceFinder | None = None) -> None:
        self._model, self._finders, self._one = model, (detector, finder), Lock()
        self._threshold, self._histograms = model.judge

    def of(self, photographs: tuple[bytes, bytes]) -> dict[str, Any]:
        """The answer for two photographs, in words and in numbers, and both faces as they were found.

        Raises PhotographError, which says which of them cannot be used.
        """
        with self._one:
            start = perf_counter()
            faces = [self._face(place, data) for place, data in zip(PLACES, photographs, strict=True)]
            result = self._model.verify(*faces)
            seconds = perf_counter() - start
            shown = [self._shown(*both) for both in zip(photographs, faces, strict=True)]
        threshold, distance = self._threshold, result.distance
        return {
            "same": result.same,
            "answer": words.SAME if result.same else words.TWO,
            "compared": words.compared(distance, threshold),
            "warning": words.untrained(self._model.metadata, faces),
            "sure": [words.sure(threshold), words.placed(distance, self._histograms)],
            "limits": words.LIMITS,
            "took": f"{self._model.metadata.model} took {1000 * seconds:.0f} milliseconds.",
            "distance": distance,
            "threshold": threshold.distance,
            "dataset": threshold.dataset,
            "scale": asdict(scale(self._histograms, [distance, threshold.distance])),
            "faces": shown,
        }

    def _face(self, place: str, data: bytes) -> Face:
        try:
            return self._model.face(data, None, None, *self._finders)
        except PhotographError as error:
            raise PhotographError(f"the {place} {error}") from None

    def _shown(self, data: bytes, face: Face) -> dict[str, Any]:
        found = portrait(data, face, self._model.metadata.input)
        return {
            "image": f"data:image/jpeg;base64,{b64encode(encode(found.image, 90)).decode()}",
            "pixels": PIXELS,
            "outline": found.outline.tolist(),
            "points": [] if found.points is None else found.points.tolist(),
            "found": f"Face {words.how(face)}.",
        }
