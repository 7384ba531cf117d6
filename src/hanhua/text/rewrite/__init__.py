"""What changes a text without judging it: mending, normal forms, conversion, masking."""
