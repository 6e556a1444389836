"""Around the routes: request checks and limits, the caller, request bodies, problems."""
