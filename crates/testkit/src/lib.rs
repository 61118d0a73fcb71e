//! Test-only helpers: hostile modules and the conformance suite.
