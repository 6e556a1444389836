"""The data folder: originals, file types, and the lease of its one writer."""
