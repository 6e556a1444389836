"""The journey of a schema: bounded and resolved, its values found, grounded and validated."""
