"""A provable audit log: chained records, signed checkpoints, verification. Knows neither LlamaIndex nor OTel."""
