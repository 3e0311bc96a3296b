"""The pictures of the report, by matplotlib."""
