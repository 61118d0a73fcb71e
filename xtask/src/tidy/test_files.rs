//! Rule: no test file is forgotten.
//!
//! A crate has one integration test binary, `tests/it/main.rs`. A file beside it that no `mod`
//! names is never compiled, and its tests pass by never running.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{code_only, lines};
use super::tree::Tree;

/// Finds test binaries other than `it`, and files that no `mod` reaches.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let in_tests = |path: &&str| path.contains("/tests/") && !path.contains("/ui/");
    let paths: BTreeSet<&str> = tree.rust_files().map(|it| it.0).filter(in_tests).collect();
    let reached: BTreeSet<String> = paths
        .iter()
        .flat_map(|path| modules_of(path, tree.text(path).unwrap_or_default()))
        .collect();
    let mut findings = Vec::new();
    for path in paths {
        if path.ends_with("/tests/it/main.rs") || reached.contains(path) {
            continue;
        }
        let next = "name it with `mod` in tests/it/main.rs, the crate's one test binary";
        findings.push(Finding::new(path, 1, "no module names this test file", next));
    }
    findings
}

/// The paths that the `mod name;` lines of a file can mean.
fn modules_of(path: &str, text: &str) -> Vec<String> {
    let folder = match path.strip_suffix("/main.rs").or_else(|| path.strip_suffix("/mod.rs")) {
        Some(folder) => folder,
        None => path.strip_suffix(".rs").unwrap_or(path),
    };
    let code = code_only(text);
    let name = |line: &str| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.trim().to_owned())
    };
    lines(&code)
        .filter_map(|(_, line)| name(line))
        .flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn a_file_that_no_module_names_is_found() {
        let tree = tree(&[
            ("crates/a/tests/it/main.rs", "//! Tests.\nmod sync;\npub mod deep;\n// mod gone;\n"),
            ("crates/a/tests/it/sync.rs", ""),
            ("crates/a/tests/it/deep.rs", "mod er;"),
            ("crates/a/tests/it/deep/er.rs", ""),
            ("crates/a/tests/it/gone.rs", ""),
            ("crates/a/tests/second.rs", ""),
        ]);
        let paths: Vec<_> = check(&tree).into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["crates/a/tests/it/gone.rs", "crates/a/tests/second.rs"]);
    }
}
