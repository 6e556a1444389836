# /// script
# dependencies = ["reportlab", "python-docx", "python-pptx", "openpyxl", "pillow"]
# ///
"""Write our own example documents (a flying club's papers) into examples/documents.

The two NTSB reports beside them are US government works and are not made here.
Run with `uv run examples/make_documents.py`; the results are committed.
"""

import random
from datetime import date
from pathlib import Path

from docx import Document
from openpyxl import Workbook
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pptx import Presentation
from pptx.util import Inches
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    FrameBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

OUT = Path(__file__).parent / "documents"

FLEET = [
    ("Registration", "Type", "Hourly rate (EUR)", "Next inspection", "Base"),
    ("D-ELKA", "Cessna 172S", "189.00", "2026-11-30", "Larkfield"),
    ("D-ELKB", "Piper PA-28-161", "176.50", "2027-02-14", "Larkfield"),
    ("D-KLKC", "Grob G109B", "142.00", "2026-12-05", "Moorham"),
    ("D-0417", "ASK 21 glider", "38.00", "2027-03-01", "Larkfield"),
]


def bulletin_pdf() -> None:
    """Two columns of text on page 1, a table on page 2."""
    styles = getSampleStyleSheet()
    doc = BaseDocTemplate(
        str(OUT / "larkfield-bulletin-autumn-2026.pdf"), pagesize=A4, title="Larkfield Bulletin"
    )
    width, height = A4
    left = Frame(50, 60, (width - 120) / 2, height - 130, id="left")
    right = Frame(70 + (width - 120) / 2, 60, (width - 120) / 2, height - 130, id="right")
    whole = Frame(50, 60, width - 100, height - 130, id="whole")
    doc.addPageTemplates(
        [
            PageTemplate(id="columns", frames=[left, right], autoNextPageTemplate="whole"),
            PageTemplate(id="whole", frames=[whole]),
        ]
    )
    left_text = [
        "The night flying season opens on 1 October 2026. Night circuits are flown on Tuesdays "
        "and Thursdays only, and the runway lights are switched off at 22:30 local time.",
        "Members who have not flown for 28 days must fly one check circuit with an instructor "
        "before carrying passengers. The check flight is free of instructor fees once a year.",
        "The hangar door on the east side is out of service until the hydraulic ram has been "
        "replaced. Use the west door and leave the tow bar clear of the yellow line.",
    ]
    right_text = [
        "The annual general meeting takes place on 14 November 2026 at 18:00 in the club house. "
        "Motions must reach the secretary, Ines Adler, by 31 October 2026.",
        "The club's insurance was renewed with a hull excess of 2,500 EUR per incident. Damage "
        "below that amount is paid by the club if it is reported within 24 hours.",
        "Fuel is now paid by card at the pump. The price of unleaded 91 is 2.31 EUR per litre, "
        "and 2.84 EUR per litre for 100LL.",
    ]
    story = [Paragraph("Larkfield Bulletin, autumn 2026", styles["Title"])]
    for text in left_text:
        story += [Paragraph(text, styles["BodyText"]), Spacer(1, 8)]
    story.append(FrameBreak())
    for text in right_text:
        story += [Paragraph(text, styles["BodyText"]), Spacer(1, 8)]
    story.append(FrameBreak())
    story.append(Paragraph("The fleet and its rates", styles["Heading1"]))
    table = Table(FLEET, repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.lightgrey),
                ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
            ]
        )
    )
    story += [table, Spacer(1, 12)]
    story.append(
        Paragraph(
            "Rates are wet rates: fuel and oil are included, landing fees are not.",
            styles["BodyText"],
        )
    )
    doc.build(story)


def handbook_docx() -> None:
    """Headings, paragraphs, a list and a table."""
    doc = Document()
    doc.add_heading("Larkfield Flying Club: member handbook", level=0)
    doc.add_heading("Membership", level=1)
    doc.add_paragraph(
        "A full membership costs 340 EUR a year and is due on 1 March. Members under 25 pay half. "
        "A member may resign with three months' notice to the end of a calendar year."
    )
    doc.add_heading("Booking aircraft", level=1)
    doc.add_paragraph(
        "Aircraft are booked in the online calendar. A booking that is not used must be cancelled "
        "at least 12 hours before it starts; otherwise one flight hour is charged."
    )
    doc.add_paragraph(
        "Bookings of more than three days need the chief pilot's consent.", style="List Bullet"
    )
    doc.add_paragraph("Weekend bookings are limited to four hours per member.", style="List Bullet")
    doc.add_heading("Fees", level=1)
    table = doc.add_table(rows=1, cols=3)
    table.style = "Table Grid"
    for cell, text in zip(table.rows[0].cells, ("Fee", "Amount", "When"), strict=True):
        cell.text = text
    for row in (
        ("Joining fee", "150 EUR", "once"),
        ("Landing at Larkfield", "7.50 EUR", "per landing"),
        ("Winch launch", "9.00 EUR", "per launch"),
        ("Hangar place", "85 EUR", "per month"),
    ):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    doc.add_heading("Refunds", level=1)
    doc.add_paragraph(
        "Flight hours paid in advance are refunded within 30 days of a written request. "
        "Joining fees are not refunded."
    )
    doc.core_properties.title = "Larkfield Flying Club: member handbook"
    doc.save(OUT / "larkfield-handbook.docx")


def maintenance_xlsx() -> None:
    """Two sheets: defects and hours."""
    book = Workbook()
    defects = book.active
    defects.title = "Defects"
    defects.append(["Date", "Aircraft", "Defect", "Action", "Cost (EUR)", "Signed by"])
    for row in (
        (
            date(2026, 3, 4),
            "D-ELKA",
            "Left brake dragging",
            "Caliper overhauled",
            312.40,
            "M. Roth",
        ),
        (
            date(2026, 4, 19),
            "D-ELKB",
            "Landing light inoperative",
            "Lamp replaced",
            48.90,
            "M. Roth",
        ),
        (date(2026, 6, 2), "D-KLKC", "Propeller nick", "Blade dressed", 120.00, "S. Okafor"),
        (
            date(2026, 8, 27),
            "D-ELKA",
            "Alternator failed in flight",
            "Alternator exchanged",
            865.00,
            "S. Okafor",
        ),
        (
            date(2026, 9, 11),
            "D-0417",
            "Canopy crack",
            "Stop-drilled and monitored",
            35.00,
            "M. Roth",
        ),
    ):
        defects.append(row)
    hours = book.create_sheet("Hours 2026")
    hours.append(["Aircraft", "Quarter 1", "Quarter 2", "Quarter 3", "Total"])
    for name, *quarters in (
        ("D-ELKA", 41.2, 88.6, 97.3),
        ("D-ELKB", 37.9, 72.4, 80.1),
        ("D-KLKC", 12.5, 44.0, 51.7),
        ("D-0417", 3.1, 60.8, 92.2),
    ):
        hours.append([name, *quarters, round(sum(quarters), 1)])
    book.save(OUT / "larkfield-maintenance-2026.xlsx")


def safety_pptx() -> None:
    """Three slides with notes and a table."""
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Safety review 2026"
    slide.placeholders[1].text = (
        "Eleven occurrences were reported, four fewer than in 2025.\n"
        "No injuries. One hard landing with damage to the nose gear of D-ELKB."
    )
    slide.notes_slide.notes_text_frame.text = "The hard landing happened on 7 June 2026."
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "What we change"
    slide.placeholders[1].text = (
        "The crosswind limit for students is lowered to 10 knots.\n"
        "Radio calls on base leg become mandatory.\n"
        "The safety officer, Jonas Weber, keeps the occurrence log."
    )
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Occurrences by phase of flight"
    rows = [
        ("Phase", "2025", "2026"),
        ("Take-off", "3", "2"),
        ("En route", "4", "3"),
        ("Landing", "8", "6"),
    ]
    table = slide.shapes.add_table(4, 3, Inches(1), Inches(2), Inches(6), Inches(2)).table
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            table.cell(r, c).text = text
    deck.core_properties.title = "Larkfield safety review 2026"
    deck.save(OUT / "larkfield-safety-review-2026.pptx")


def faq_html() -> None:
    """A small page with headings and a table."""
    (OUT / "larkfield-visitors.html").write_text(
        """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Larkfield airfield: visiting pilots</title>
<style>body{font-family:sans-serif}</style><script>console.log("not text")</script></head><body>
<nav>Home | Visitors | Contact</nav>
<h1>Visiting pilots</h1>
<h2>Prior permission</h2>
<p>Prior permission is required and is given by telephone between 09:00 and 17:00 local time.
Visitors on microlights are welcome; helicopters are not permitted on Sundays.</p>
<h2>Runways</h2>
<table><tr><th>Runway</th><th>Length (m)</th><th>Surface</th></tr>
<tr><td>08/26</td><td>780</td><td>Asphalt</td></tr>
<tr><td>14/32</td><td>520</td><td>Grass</td></tr></table>
<h2>Noise</h2>
<p>Circuits are flown south of the field at 1,200 feet. The village of Moorham must not be
overflown below 2,000 feet.</p>
</body></html>
""",
        encoding="utf-8",
    )


def receipt_png() -> None:
    """A scanned receipt: slightly turned, slightly noisy."""
    page = Image.new("L", (1000, 1300), 250)
    draw = ImageDraw.Draw(page)
    big = ImageFont.load_default(size=44)
    font = ImageFont.load_default(size=32)
    draw.text((120, 90), "MOORHAM AVIATION SUPPLIES", font=big, fill=20)
    lines = [
        "Receipt No: R-20418",
        "Date: 2026-09-12",
        "Customer: Larkfield Flying Club",
        "",
        "2 x Tyre 6.00-6             318.00 EUR",
        "1 x Battery G-25            274.50 EUR",
        "12 x Oil W100 (1 l)         131.40 EUR",
        "",
        "Total: 723.90 EUR",
        "Paid by bank transfer",
    ]
    for i, line in enumerate(lines):
        draw.text((120, 220 + i * 70), line, font=font, fill=25)
    noise = random.Random(7)
    pixels = page.load()
    for _ in range(4000):
        pixels[noise.randrange(1000), noise.randrange(1300)] = noise.randrange(120, 220)
    page.rotate(0.6, fillcolor=250).filter(ImageFilter.GaussianBlur(0.6)).save(
        OUT / "scanned-receipt.png", dpi=(150, 150)
    )


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for make in (bulletin_pdf, handbook_docx, maintenance_xlsx, safety_pptx, faq_html, receipt_png):
        make()
