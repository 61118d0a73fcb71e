//! Rule: every Rust file begins by saying what it is.

use super::Finding;
use super::tree::Tree;

/// A crate whose README is its documentation says it there, and the README is a test.
const README: &str = "#![doc = include_str!(\"../README.md\")]";

/// Finds files whose first line is not a `//!`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let silent = |text: &str| {
        let first = text.lines().find(|it| !it.trim().is_empty());
        !first.is_some_and(|it| it.trim_start().starts_with("//!") || it.trim() == README)
    };
    tree.rust_files()
        .filter(|(_, text)| silent(text))
        .map(|(path, _)| {
            let next = "begin it with a `//!` line that says what it is and why";
            Finding::new(path, 1, "the file does not say what it is", next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        let tree = tree(&[
            ("crates/a/src/lib.rs", "//! A.\n"),
            ("crates/r/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("crates/a/src/b.rs", "use std::fmt;\n//! Late.\n"),
            ("protocols/c/src/lib.rs", "\n// C.\n"),
            ("tests/empty.rs", ""),
            ("README.md", "no rust"),
        ]);
        let paths: Vec<_> = check(&tree).into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["crates/a/src/b.rs", "protocols/c/src/lib.rs", "tests/empty.rs"]);
    }
}
