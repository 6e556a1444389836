"""The safety of a data folder: what a start finds in it, backup and restore."""
