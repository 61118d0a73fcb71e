//! Rule: `protocols/digests.toml` knows every guest and nothing else.
//!
//! Whether the digests are right needs a build, which is `cargo xtask protocols --check`.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::{Package, Tree};
use crate::protocols::digests::Digests;

const PATH: &str = "protocols/digests.toml";
const NEXT: &str = "run `cargo xtask protocols --bless`";

/// Finds guests without a digest and digests without a guest, for each compiler.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let guests: BTreeSet<&str> =
        tree.packages().filter(is_module).map(|it| it.short_name()).collect();
    let Some(text) = tree.text(PATH) else {
        let missing = || Finding::new(PATH, 1, "the file is missing", NEXT);
        return if guests.is_empty() { Vec::new() } else { vec![missing()] };
    };
    let digests = match Digests::parse(text) {
        Ok(digests) => digests,
        Err(error) => {
            let what = format!("the file cannot be read ({error:#})");
            return vec![Finding::new(PATH, 1, what, NEXT)];
        }
    };
    let mut findings = Vec::new();
    for (key, known) in digests.entries() {
        let line = text.lines().position(|it| it.contains(key)).map_or(1, |it| it + 1);
        let known: BTreeSet<&str> = known.keys().map(String::as_str).collect();
        for name in guests.difference(&known) {
            let what = format!("the table of {key} lacks {name}");
            findings.push(Finding::new(PATH, line, what, NEXT));
        }
        for name in known.difference(&guests) {
            let what = format!("the table of {key} has {name}, which is no guest");
            findings.push(Finding::new(PATH, line, what, NEXT));
        }
    }
    findings
}

/// Whether a package becomes a module; the others in `protocols/` are shared by guests.
fn is_module(package: &Package<'_>) -> bool {
    package.is_guest() && package.text.contains("\"cdylib\"")
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    const GUEST: &str = "[package]\nname = \"a\"\n[lib]\ncrate-type = [\"cdylib\"]\n";

    fn found(digests: Option<&str>) -> Vec<String> {
        let mut files = vec![("protocols/a/Cargo.toml", GUEST)];
        files.extend(digests.map(|it| (PATH, it)));
        check(&tree(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_complete_file_is_fine() {
        assert_eq!(found(Some("[\"rustc 1\"]\na = \"11\"\n")), Vec::<String>::new());
    }

    #[test]
    fn a_missing_or_damaged_file_is_found() {
        assert!(found(None)[0].contains("digests.toml:1: the file is missing"));
        assert!(found(Some("a = 1"))[0].contains("cannot be read"));
    }

    #[test]
    fn a_stale_table_is_found() {
        let found = found(Some("# A comment.\n[\"rustc 1\"]\nold = \"11\"\n"));
        assert!(found[0].starts_with("protocols/digests.toml:2: the table of rustc 1 lacks a;"));
        assert!(found[1].contains("has old, which is no guest"));
    }
}
