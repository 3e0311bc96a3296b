"""The tables of the report, as blocks of Markdown: from numbers alone, without a picture and without torch."""
