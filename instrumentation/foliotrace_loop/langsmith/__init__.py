"""LangSmith's HTTP interface: the only modules that know its paths and shapes."""
