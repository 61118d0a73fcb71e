//! Authenticated, bounded, ordered channels between devices: iroh QUIC and an in-memory twin.
