"""Which mixture: small runs measured, laws fitted, a share recommended."""
