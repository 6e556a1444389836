"""Plain text, Markdown, HTML and CSV."""
