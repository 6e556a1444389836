"""A provable audit log: chained records, signed checkpoints, verification."""
