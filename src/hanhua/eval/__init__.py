"""Scores with n, spread and a paired comparison with the base."""
