"""Commands that create, guard, check and copy a data folder."""
