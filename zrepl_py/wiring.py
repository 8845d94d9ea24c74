"""All construction on one page."""
