"""Archives: each member is read by the reader of its type."""
