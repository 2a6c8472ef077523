//! Codes, shifts, rounding, exponents, stochastic rounding and random streams. Knows nothing else.
