"""`foliotrace runs` and `foliotrace loop`."""
