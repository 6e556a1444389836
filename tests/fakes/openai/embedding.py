"""Embeddings without a model: hashed words, the same for the same text everywhere."""

import hashlib
import re
from math import sqrt
from typing import Any

from tests.fakes.openai.errors import Refused

MOST_INPUTS = 2048


def read_inputs(given: Any) -> list[str]:
    """The texts of an embedding request; token ids become words. Raises `Refused`."""
    if isinstance(given, str):
        inputs = [given]
    elif given and all(isinstance(entry, int) for entry in given):
        inputs = [" ".join(map(str, given))]
    else:
        inputs = [e if isinstance(e, str) else " ".join(map(str, e)) for e in given]
    if not inputs or len(inputs) > MOST_INPUTS or not all(inputs):
        raise Refused(400, "invalid_request: input must hold 1 to 2048 texts that are not empty")
    return inputs


def hashed_vector(text: str, size: int) -> list[float]:
    """Signed feature hashing of words and their starts: texts that share words lie close."""
    vector = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [text]:
        for feature, weight in ((word, 1.0), (f"^{word[:4]}", 0.5)):
            digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
            number = int.from_bytes(digest, "little")
            vector[number % size] += weight if number >> 63 else -weight
    length = sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]
