"""Releases: which configuration answers whom, and whether a new one may replace the old one."""
