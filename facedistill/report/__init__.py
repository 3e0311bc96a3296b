"""The report of a repository: tables, claims and pictures of what was measured, in Markdown and as one HTML page."""
