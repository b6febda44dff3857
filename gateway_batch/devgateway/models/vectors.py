"""The stand-in embedding model: hashed words and letter triples, so that texts alike in wording are near."""

from __future__ import annotations

import math
from collections import Counter
from zlib import crc32

from gateway_batch.devgateway.models.prose import STOP_WORDS, words

_TRIPLE = 0.5
_STOP_WORD = 0.15
_MOST_WORDS = 4000


def embed(text: str, width: int) -> list[float]:
    """A vector of length 1 and the given width."""
    vector = [0.0] * width
    for feature, weight in _features(text).items():
        code = crc32(feature.encode(errors="replace"))
        vector[(code >> 1) % width] += weight if code & 1 else -weight
    norm = math.sqrt(math.fsum(value * value for value in vector))
    if norm == 0:
        vector[0] = norm = 1.0
    return [value / norm for value in vector]


def _features(text: str) -> dict[str, float]:
    """Weights grow with the root of the count, so that repeating a word changes little."""
    features: dict[str, float] = {}
    for word, count in Counter(words(text)[:_MOST_WORDS]).items():
        root = math.sqrt(count)
        if word in STOP_WORDS:
            features[word] = _STOP_WORD * root
            continue
        features[word] = root
        padded = f"#{word}#"
        for start in range(len(padded) - 2):
            triple = "~" + padded[start : start + 3]
            features[triple] = features.get(triple, 0.0) + _TRIPLE * root
    return features
