"""Traces in and out: synthetic ones, and files of runs uploaded so that none is lost or doubled."""
