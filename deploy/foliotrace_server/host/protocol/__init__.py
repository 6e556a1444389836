"""The llama-agents protocol: what a request may say, and which host answers it."""
