"""The back ends: each folder translates one vendor into our ports and decides nothing."""
