"""What is asked about runs: filters in LangSmith's grammar, and figures of windows of time."""
