//! How devices run a protocol together: the execution context and the upgrade coordinator.
