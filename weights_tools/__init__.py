"""Tools for VGG weight files: fetch, convert, inspect. Their formats are described in docs/weights.md."""
