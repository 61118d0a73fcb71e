//! Rule: a heavy dependency is named in as few files as can be.
//!
//! Replacing such a dependency is then the work of those files. The numbers are a ratchet: they go
//! down, and going up is a decision.

use super::Finding;
use super::source::{code_only, is_word, lines};
use super::tree::Tree;

/// Where one heavy dependency may be named.
struct Heavy {
    /// The crates it consists of; a trailing `*` stands for the rest of a name.
    crates: &'static [&'static str],
    /// What the path of a file must start with.
    home: &'static str,
    /// In how many files at most.
    files_max: usize,
}

/// Some take two files: an engine is what runs a module and the memory that bounds it, a network is
/// what is sent and what its words mean here, a store is what opens and what is written.
const HEAVY: [Heavy; 9] = [
    Heavy { crates: &["wasmer*"], home: "crates/wasm-host/src/engine", files_max: 2 },
    Heavy { crates: &["js_sys", "wasm_bindgen"], home: "crates/wasm-host-web/src/", files_max: 2 },
    Heavy { crates: &["redb"], home: "crates/journal/src/store/disk", files_max: 2 },
    Heavy { crates: &["iroh*", "noq_proto"], home: "crates/transport/src/quic", files_max: 2 },
    Heavy {
        crates: &["reqwest", "rustls", "rustls_platform_verifier"],
        home: "crates/transport/src/modules/locations/",
        files_max: 1,
    },
    Heavy { crates: &["bao_tree"], home: "crates/transport/src/", files_max: 2 },
    Heavy { crates: &["hpke"], home: "crates/crypto/src/", files_max: 1 },
    Heavy { crates: &["frost_*"], home: "crates/crypto/src/", files_max: 2 },
    Heavy { crates: &["automerge"], home: "crates/journal-document/src/", files_max: 1 },
];

/// Finds heavy dependencies outside their home, or in too many files of it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    HEAVY.iter().flat_map(|heavy| check_one(tree, heavy)).collect()
}

fn check_one(tree: &Tree, heavy: &Heavy) -> Vec<Finding> {
    let sources =
        tree.rust_files().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/"));
    let mut findings = Vec::new();
    let mut at_home = Vec::new();
    for (path, text) in sources {
        let Some((line, name)) = first_mention(text, heavy.crates) else {
            continue;
        };
        if path.starts_with(heavy.home) {
            at_home.push((path, line, name));
            continue;
        }
        let what = format!("{name} is named outside {}*", heavy.home);
        findings.push(Finding::new(path, line, what, "use what that file offers instead"));
    }
    for (path, line, name) in at_home.into_iter().skip(heavy.files_max) {
        let what = format!("{name} is named in more than {} files", heavy.files_max);
        findings.push(Finding::new(path, line, what, "bring its uses together"));
    }
    findings
}

/// Where a text first uses one of the crates, and which.
fn first_mention(text: &str, crates: &[&str]) -> Option<(usize, String)> {
    let code = code_only(text);
    // A module of the same name shadows the crate, so the name no longer means it.
    let own = |it: &&&str| lines(&code).any(|(_, line)| declares_module(line, it));
    let crates: Vec<&str> = crates.iter().filter(|it| !own(it)).copied().collect();
    lines(&code).find_map(|(line, text)| Some((line, mention(text, &crates)?)))
}

fn declares_module(line: &str, name: &str) -> bool {
    let words: Vec<&str> = line.split([' ', ';', '{']).collect();
    words.windows(2).any(|pair| pair == ["mod", name])
}

/// The crate that a line uses: its name as the first part of a path.
fn mention(line: &str, crates: &[&str]) -> Option<String> {
    let mut before = "";
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        let (gap, word) = rest.split_at(start);
        if !gap.is_empty() {
            before = gap;
        }
        let end = word.find(|it: char| !is_word(it)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let is_first = !before.trim_end().ends_with("::");
        let is_path = after.starts_with("::") || line.trim_start().starts_with("use ");
        if is_first && is_path && crates.iter().any(|it| is_named(word, it)) {
            return Some(word.to_owned());
        }
        before = "";
        rest = after;
    }
    None
}

fn is_named(word: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[track_caller]
    fn check_line(line: &str, expected: Option<&str>) {
        assert_eq!(mention(&code_only(line), &["redb", "wasmer*"]).as_deref(), expected, "{line}");
    }

    #[test]
    fn a_mention_is_the_first_part_of_a_path() {
        check_line("use redb::Database;", Some("redb"));
        check_line("use redb;", Some("redb"));
        check_line("    let x = redb::Database::open(p)?;", Some("redb"));
        check_line("fn f(x: &::redb::Database)", None);
        check_line("use wasmer_vm::Trap;", Some("wasmer_vm"));
        check_line("use crate::redb::Store;", None);
        check_line("let redb = open();", None);
        check_line("// redb::Database", None);
        check_line("let x = \"redb::\";", None);
        check_line("use predb::X;", None);
    }

    #[test]
    fn use_outside_its_home_is_found() {
        let tree = tree(&[
            ("crates/journal/src/store.rs", "use redb::Database;\n"),
            ("crates/agent/src/lib.rs", "//! Agent.\nuse redb::Database;\n"),
            ("crates/agent/tests/it/main.rs", "use redb::Database;\n"),
        ]);
        let found: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "crates/agent/src/lib.rs:2: redb is named outside crates/journal/src/*; use what that \
             file offers instead"
            ]
        );
    }

    #[test]
    fn a_module_of_the_same_name_is_not_the_crate() {
        let tree = tree(&[
            ("crates/crypto/src/lib.rs", "pub mod hpke;\npub use hpke::seal;\n"),
            ("crates/crypto/src/hpke.rs", "use hpke::Kem;\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn use_in_too_many_files_is_found() {
        let tree = tree(&[
            ("crates/journal/src/a.rs", "use redb::Database;\n"),
            ("crates/journal/src/b.rs", "fn f() { redb::x() }\n"),
        ]);
        let found: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "crates/journal/src/b.rs:1: redb is named in more than 1 files; bring its uses together"
            ]
        );
    }
}
