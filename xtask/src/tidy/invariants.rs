//! Rule: every invariant that is promised has a test that names it.
//!
//! Ids look like `INV-` followed by capital letters and a number. A promise is an id in a crate's
//! sources, its README, ARCHITECTURE.md or `docs/`; a test is a file under `tests/` or the test
//! module at the bottom of a source file.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::source::{lines, split_tests};
use super::tree::Tree;

/// Finds promised invariants that no test names, once each, where they are promised first.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut promised: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    let mut tested: BTreeSet<String> = BTreeSet::new();
    for (path, text) in tree.files().filter(|(path, _)| is_ours(path)) {
        if path.starts_with("tests/") || path.contains("/tests/") {
            tested.extend(ids(text));
            continue;
        }
        let (promise, tests) = if path.ends_with(".rs") { split_tests(text) } else { (text, "") };
        tested.extend(ids(tests));
        for (line, text) in lines(promise) {
            for id in ids(text) {
                promised.entry(id).or_insert((path, line));
            }
        }
    }
    promised
        .into_iter()
        .filter(|(id, _)| !tested.contains(id))
        .map(|(id, (path, line))| {
            let next = "name it in the doc comment of the test that holds it";
            Finding::new(path, line, format!("{id} is promised, but no test names it"), next)
        })
        .collect()
}

/// The rules themselves speak of ids without promising any.
fn is_ours(path: &str) -> bool {
    !path.starts_with("xtask/")
}

/// The invariant ids in a text.
fn ids(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("INV-").skip(1) {
        let letters = part.find(|it: char| !it.is_ascii_uppercase()).unwrap_or(part.len());
        let (letters, rest) = part.split_at(letters);
        let digits = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, _) = rest.split_at(digits);
        if !letters.is_empty() && !digits.is_empty() {
            found.push(format!("INV-{letters}{digits}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn ids_are_letters_and_a_number() {
        assert_eq!(
            ids("INV-T1, INV-JS12: INV-x1 INV-T INV-9 (INV-W3)"),
            ["INV-T1", "INV-JS12", "INV-W3"]
        );
    }

    #[test]
    fn a_promise_without_a_test_is_found_once() {
        let tree = tree(&[
            ("ARCHITECTURE.md", "INV-A1 and INV-A2\n"),
            (
                "crates/a/src/lib.rs",
                "//! Holds INV-A1, INV-A3.\n#[cfg(test)]\nmod tests {\n// INV-A3\n}\n",
            ),
            ("crates/a/src/b.rs", "//! INV-A2 again.\n"),
            ("crates/a/tests/it/main.rs", "/// INV-A1: it holds.\n"),
        ]);
        let found: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ARCHITECTURE.md:1: INV-A2 is promised, but no test"));
    }
}
