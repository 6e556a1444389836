"""Values that no label names: an organisation, its address, dates, titles, totals."""
