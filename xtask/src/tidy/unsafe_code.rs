//! Rule: unsafe code is where a decision record says why.
//!
//! The workspace denies it. A file that lifts the denial is listed here with its record, and a
//! listed file that needs no exception any more leaves the list.

use super::Finding;
use super::source::{code_only, lines};
use super::tree::Tree;

/// The files that may lift the denial (a trailing `*` stands for the rest of a path), with the
/// number of the decision record that argues for each.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("crates/wasm-host/src/engine*", "docs/decisions/0010"),
    ("crates/protocol-sdk/src/export.rs", "docs/decisions/0012"),
    ("xtask/src/net/tun.rs", "docs/decisions/0168"),
];

/// Finds exceptions that are not listed, or whose record is missing.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files() {
        let Some(line) = lifts_denial(text) else {
            continue;
        };
        let Some((_, record)) = EXCEPTIONS.iter().find(|(file, _)| matches(path, file)) else {
            let next = "write safe code, or a decision record and an entry in \
                        xtask/src/tidy/unsafe_code.rs";
            findings.push(Finding::new(path, line, "unsafe code is allowed here", next));
            continue;
        };
        if !tree.files().any(|(path, _)| path.starts_with(&format!("{record}-"))) {
            let what = format!("unsafe code is allowed here, but {record}-*.md is missing");
            findings.push(Finding::new(path, line, what, "write it: why, and what keeps it sound"));
        }
    }
    findings
}

fn matches(path: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern,
    }
}

/// The first line whose attribute allows or expects unsafe code.
fn lifts_denial(text: &str) -> Option<usize> {
    let code = code_only(text);
    let lifts = |line: &str| {
        let Some(at) = line.find("unsafe_code") else {
            return false;
        };
        let before = line.get(..at).unwrap_or_default();
        ["allow(", "expect(", "warn("].iter().any(|it| before.contains(it))
    };
    lines(&code).find(|(_, line)| lifts(line)).map(|(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    const ALLOW: &str = "//! E.\n#[expect(unsafe_code, reason = \"r\")]\nfn f() {}\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&tree(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unlisted_exception_is_found() {
        let found = found(&[("crates/journal/src/fast.rs", ALLOW)]);
        assert!(found[0].starts_with("crates/journal/src/fast.rs:2: unsafe code is allowed here;"));
    }

    #[test]
    fn a_listed_exception_needs_its_record() {
        let engine = ("crates/wasm-host/src/engine/wasmer.rs", ALLOW);
        assert!(found(&[engine])[0].contains("docs/decisions/0010-*.md is missing"));
        let record = ("docs/decisions/0010-unsafe.md", "# Why");
        assert_eq!(found(&[engine, record]), Vec::<String>::new());
    }

    #[test]
    fn denying_and_talking_are_fine() {
        assert_eq!(lifts_denial("#![deny(unsafe_code)]"), None);
        assert_eq!(lifts_denial("#![forbid(unsafe_code)]"), None);
        assert_eq!(lifts_denial("// allow(unsafe_code)"), None);
        assert_eq!(lifts_denial("#![allow(dead_code, unsafe_code)]"), Some(1));
    }
}
