"""Which language a text is in, and which of its parts."""
