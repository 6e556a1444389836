"""LlamaCloud's managed index: its writer, its retriever, and what is known of each placed file."""
