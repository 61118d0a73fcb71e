//! Rule: every package takes the lints of its workspace.

use toml::Table;

use super::Finding;
use super::tree::Tree;

/// Finds packages without `[lints] workspace = true`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let inherits = |text: &str| {
        let manifest: Option<Table> = toml::from_str(text).ok();
        let lints = manifest.as_ref().and_then(|it| it.get("lints"));
        lints.and_then(|it| it.get("workspace")?.as_bool()) == Some(true)
    };
    tree.packages()
        .filter(|package| !inherits(package.text))
        .map(|package| {
            let next = "add `[lints]` with `workspace = true`";
            Finding::new(package.manifest, 1, "the package takes no lints", next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    #[test]
    fn a_package_without_lints_is_found() {
        let tree = tree(&[
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("crates/c/Cargo.toml", "[package]\nname = \"c\"\n[lints]\nworkspace = false\n"),
            ("protocols/Cargo.toml", "[workspace]\n"),
        ]);
        let paths: Vec<_> = check(&tree).into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["crates/b/Cargo.toml", "crates/c/Cargo.toml"]);
    }
}
