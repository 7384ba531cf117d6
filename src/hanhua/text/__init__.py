"""Raw files to clean documents, with every drop counted by reason."""
