"""Blocks and tables of a page as JSON values, and back: on the wire and in the library."""

from typing import Any

from foliotrace.model import Block, BlockKind, Box, Table, TableCell, TableRow


def block_to_json(block: Block) -> list[Any]:
    """kind, start, end, level, box."""
    return [block.kind.value, block.start, block.end, block.level, box_to_json(block.box)]


def block_from_json(value: list[Any]) -> Block:
    """The block of `block_to_json`. Raises TypeError, ValueError for anything else."""
    kind, start, end, level, box = value
    return Block(kind=BlockKind(kind), start=start, end=end, level=level, box=box_from_json(box))


def box_to_json(box: Box | None) -> list[float] | None:
    """x, y, width, height in points."""
    return None if box is None else [box.x, box.y, box.width, box.height]


def box_from_json(value: list[float] | None) -> Box | None:
    """The box of `box_to_json`."""
    return None if value is None else Box(*value)


def table_to_json(table: Table) -> list[Any]:
    """start, end, box, rows; a row is start, end, is_header, cells."""
    rows = [
        [
            row.start,
            row.end,
            row.is_header,
            [[c.start, c.end, c.column, c.ref, box_to_json(c.box)] for c in row.cells],
        ]
        for row in table.rows
    ]
    return [table.start, table.end, box_to_json(table.box), rows]


def table_from_json(value: list[Any]) -> Table:
    """The table of `table_to_json`. Raises TypeError, ValueError for anything else."""
    start, end, box, rows = value
    return Table(
        start=start,
        end=end,
        box=box_from_json(box),
        rows=tuple(
            TableRow(
                start=row_start,
                end=row_end,
                is_header=is_header,
                cells=tuple(
                    TableCell(start=a, end=b, column=column, ref=ref, box=box_from_json(cell_box))
                    for a, b, column, ref, cell_box in cells
                ),
            )
            for row_start, row_end, is_header, cells in rows
        ),
    )
