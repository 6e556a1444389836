"""Figures that no cell states: formulas, comparisons of periods, one cell for each report."""
