//! Plans as one line of text.
