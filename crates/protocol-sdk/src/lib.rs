//! What the author of a protocol module depends on.
