"""Texts that must not leave the process, and the raw reply of a model."""

QUESTION, ANSWER, PASSAGE = "canary question", "canary answer", "canary passage"
RAW = {
    "id": "resp_1",
    "model": "tiny-2026",
    "choices": [{"finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}

WORDS = ("one ", "two ", "three ")
