"""From a trained folder to one that others load."""
