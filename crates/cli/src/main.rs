//! The aura command.
fn main() {}
