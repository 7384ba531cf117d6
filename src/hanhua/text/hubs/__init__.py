"""Datasets by reference on the two hubs."""
