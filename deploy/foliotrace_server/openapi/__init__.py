"""What `/openapi.json` and `/docs` say about the HTTP API."""
