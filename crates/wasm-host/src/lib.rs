//! The sandbox: a gate that checks modules, an engine that runs them, a cache that keeps them.
