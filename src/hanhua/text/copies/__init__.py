"""Exact and near copies, of documents and of lines."""
