"""Cells: the value of a recognised table that a question asks for, by its row and column."""
