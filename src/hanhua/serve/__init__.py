"""An OpenAI-style server and a chat page."""
