"""Worker processes that run many elements each: what feeds them, and what they do."""
