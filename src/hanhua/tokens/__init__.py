"""Documents to packed rows in the shares asked for, counted from what was written."""
