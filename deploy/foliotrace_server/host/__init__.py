"""The host around llama-agents: in-memory and durable workflows behind one base URL."""
