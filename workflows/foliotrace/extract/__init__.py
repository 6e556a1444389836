"""The extract pipeline: resolve a schema, extract its fields, ground and validate them."""
