"""The report: rows in, one self-contained HTML file out."""
