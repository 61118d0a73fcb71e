//! Rule: no file is longer than a reader's patience.

use super::Finding;
use super::tree::Tree;

/// Lines a source file may have. The aim is 500; past this one file holds several concepts.
const FILE_LINES_MAX: usize = 700;

/// Finds source files that are too long.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|(path, _)| path.contains("/src/"))
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            let what = format!("the file has {lines} lines, more than {FILE_LINES_MAX}");
            let next = "split it by concept";
            (FILE_LINES_MAX < lines).then(|| Finding::new(path, FILE_LINES_MAX + 1, what, next))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn one_line_too_many_is_found() {
        let most = "//! A.\n".repeat(FILE_LINES_MAX);
        let more = format!("{most}// One more.\n");
        let tree = tree(&[
            ("crates/a/src/lib.rs", &most),
            ("crates/a/src/long.rs", &more),
            ("crates/a/tests/it/main.rs", &more),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("crates/a/src/long.rs:701: the file has 701"));
    }
}
