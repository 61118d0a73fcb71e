//! `cargo xtask tidy`: the rules of this repository that no compiler knows.
//!
//! Each rule is a pure function from a [`Tree`] to findings and lives in a file of its own, with a
//! test in which it is seen to fail. All findings are printed before the task fails.

pub mod digests;
pub mod docs;
pub mod heavy;
pub mod invariants;
pub mod layers;
pub mod length;
pub mod lints;
pub mod source;
pub mod test_files;
pub mod tree;
pub mod unsafe_code;

use std::fmt;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use tree::Tree;

/// One broken rule, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, from the root.
    pub path: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.next)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule, by what it protects.
const RULES: [(&str, Rule); 9] = [
    ("layers", layers::check),
    ("docs", docs::check),
    ("lints", lints::check),
    ("heavy dependencies", heavy::check),
    ("unsafe code", unsafe_code::check),
    ("invariants", invariants::check),
    ("length", length::check),
    ("test files", test_files::check),
    ("digests", digests::check),
];

/// Checks every rule; all findings are printed.
pub fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(workspace.root())?;
    let mut count = 0;
    for (name, rule) in RULES {
        let mut findings = rule(&tree);
        findings.sort();
        for finding in &findings {
            eprintln!("{finding} [{name}]");
        }
        count += findings.len();
    }
    if count > 0 {
        bail!("tidy found {count} broken rules, each named above");
    }
    println!("tidy: {} rules hold in {} files", RULES.len(), tree.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_next() {
        let finding = Finding::new("crates/a/src/lib.rs", 7, "it is long", "split it");
        assert_eq!(finding.to_string(), "crates/a/src/lib.rs:7: it is long; split it");
    }

    #[test]
    fn an_empty_tree_breaks_no_rule() {
        let tree = Tree::default();
        let broken: Vec<_> = RULES.iter().flat_map(|(_, rule)| rule(&tree)).collect();
        assert_eq!(broken, []);
    }
}
