"""One small reader per known format: a record in, a conversation or the reason against it out."""
