"""External services: models, LlamaCloud, Redis, and objects named in the settings."""
