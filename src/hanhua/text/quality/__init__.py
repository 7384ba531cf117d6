"""Keep or drop, by measures of the text held against thresholds, and lines of boilerplate."""
