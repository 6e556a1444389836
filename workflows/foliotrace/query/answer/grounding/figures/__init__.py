"""The figures of answers and passages: numbers, rows of tables, ratios, and arithmetic redone."""
