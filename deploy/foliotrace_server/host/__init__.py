"""The host around llama-agents: hot and durable workflows behind one base URL."""
