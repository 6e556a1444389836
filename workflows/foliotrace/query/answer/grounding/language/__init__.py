"""How answers are written: references in every style, and German, French and Spanish wording."""
