//! Properties of the vocabulary: negotiation and byte vectors.

mod negotiation;
mod vectors;
