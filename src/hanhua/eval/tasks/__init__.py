"""Multiple-choice sets: what is asked, in which words, and where it comes from."""
