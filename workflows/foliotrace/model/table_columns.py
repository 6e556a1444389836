"""What the columns of a table are called: their header cells, also those over groups. Pure."""

from foliotrace.model.page import ParsedPage, Table, TableCell


def column_headers(page: ParsedPage, table: Table) -> list[str]:
    """For each column, its cells of the header rows, joined.

    In a row of headings over groups of columns, each column has the heading nearest to it.
    """
    spans = _columns_at(table)
    paths: list[list[str]] = [[] for _ in range(max(spans, default=-1) + 1)]
    for row in (row for row in table.rows if row.is_header):
        over = [cell for cell in row.cells if cell.column and cell.box]
        grouped = len(over) == 1 or any(_is_wider(cell, spans[cell.column]) for cell in over)
        for column, path in enumerate(paths):
            cell = next((c for c in row.cells if c.column == column), None)
            if grouped and column and column in spans:
                cell = min(over, key=lambda c: _distance(c, spans[column]))
            if cell is not None:
                path.append(page.text[cell.start : cell.end])
    return [" ".join(path) for path in paths]


def _columns_at(table: Table) -> dict[int, tuple[float, float]]:
    """Where each column stands: by its rows below the header, else by its last header."""
    spans: dict[int, tuple[float, float]] = {}
    for row in reversed(table.rows):
        for cell in row.cells:
            left, right = _edges(cell)
            if cell.column not in spans:
                spans[cell.column] = (left, right)
            elif not row.is_header:
                known = spans[cell.column]
                spans[cell.column] = (min(known[0], left), max(known[1], right))
    return spans


def _edges(cell: TableCell) -> tuple[float, float]:
    return (cell.box.x, cell.box.x + cell.box.width) if cell.box else (0.0, 0.0)


def _is_wider(cell: TableCell, column: tuple[float, float]) -> bool:
    left, right = _edges(cell)
    return right > column[1] + 30 or (left < column[0] - 4 and right > column[1] + 4)


def _distance(cell: TableCell, column: tuple[float, float]) -> float:
    left, right = _edges(cell)
    middle = (column[0] + column[1]) / 2
    return max(left - middle, middle - right, 0.0)
