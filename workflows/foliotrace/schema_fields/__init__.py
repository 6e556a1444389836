"""Fields of a schema and their values in text, for the extract pipeline and the extractors."""
