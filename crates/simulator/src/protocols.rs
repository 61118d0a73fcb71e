//! Symbolic protocols: what simulations, explorations and benchmarks run.
