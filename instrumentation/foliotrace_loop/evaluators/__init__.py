"""What rates the outcome of a dataset row: rules first, judges only when they are calibrated."""
