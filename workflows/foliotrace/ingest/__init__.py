"""A file becomes served chunks: upload, then parse, chunk and index in windows."""
