"""The report of a repository: tables, claims and pictures of what was measured, as Markdown and as one page."""
