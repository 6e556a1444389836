"""LlamaCloud through its own SDK: one gateway, and the ports that stand on it."""
