//! Rule: a crate depends only on lower layers.
//!
//! [`LAYERS`] is the table of ARCHITECTURE.md, lowest first; [`NEVER`] holds the exceptions that go
//! further. Development dependencies are free, since nothing that ships depends on them. Guests may
//! share a package of their own workspace, which is held to the same rule.

use toml::{Table, Value};

use super::Finding;
use super::source::lines;
use super::tree::{Package, Tree};

/// The crates of each layer, lowest first, by their folder.
const LAYERS: [&[&str]; 7] = [
    &["guest-build", "protocol-core"],
    &["choreography", "choreography-macros", "crypto", "wasm-host", "transport"],
    &["derivation", "protocol-sdk"],
    &["journal"],
    &["coordination", "distribution"],
    &["agent", "journal-document"],
    &["cli", "simulator", "wasm-host-web"],
];

/// A procedural macro is a crate of its own only because the language demands it.
const SAME_LAYER_ALLOWED: [(&str, &str); 1] = [("choreography", "choreography-macros")];

/// Choreographies that the program runs itself, and that are guests too.
const SHARED_SCRIPTS: [&str; 1] = ["aura-derivation"];

/// Crates that only tests and measurements may use, and what they are instead of a layer.
const TEST_ONLY: [&str; 3] = ["testkit", "simulator", "benches"];

/// Runtimes, clocks and randomness: what a pure crate is given instead of taking it.
const IMPURE: [&str; 9] =
    ["tokio", "async-std", "smol", "getrandom", "rand", "rand_core", "chrono", "jiff", "web-time"];

/// Crates that must stay ignorant of something, whatever the layers would allow.
const NEVER: [(&str, &[&str]); 4] = [
    ("wasm-host-web", &["aura-transport", "aura-journal", "aura-crypto", "aura-agent", "web-sys"]),
    ("journal", &["aura-transport", "aura-wasm-host"]),
    ("coordination", &["aura-transport", "aura-wasm-host"]),
    ("distribution", &["aura-transport", "aura-wasm-host"]),
];

/// The crates of [`NEVER`] and the core take nothing from the world either.
const PURE: [&str; 4] = ["protocol-core", "journal", "coordination", "distribution"];

const NEXT: &str = "ARCHITECTURE.md says which way dependencies go: move the code, or hand it in \
                    through a trait";

/// Finds dependencies that point up, sideways or out of bounds.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let workspace = tree.text("Cargo.toml").and_then(|it| it.parse().ok()).unwrap_or_default();
    let mut findings = Vec::new();
    for package in tree.packages() {
        let manifest: Table = match package.text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                let what = format!("the manifest cannot be read ({error})").replace('\n', " ");
                findings.push(Finding::new(package.manifest, 1, what, "correct it"));
                continue;
            }
        };
        findings.extend(unplaced(&package));
        for dependency in shipped_dependencies(&manifest, &workspace) {
            let is_neighbour =
                || tree.packages().any(|it| it.is_guest() && it.short_name() == dependency.package);
            if package.is_guest() && is_neighbour() {
                continue;
            }
            if let Some(what) = objection(&package, &dependency.package) {
                let line = line_of(package.text, &dependency.name);
                findings.push(Finding::new(package.manifest, line, what, NEXT));
            }
        }
    }
    findings
}

/// A library or program of ours that the table does not know.
fn unplaced(package: &Package<'_>) -> Option<Finding> {
    let name = package.short_name();
    let placed = layer_of(name).is_some() || TEST_ONLY.contains(&name);
    if placed || !package.folder.starts_with("crates/") {
        return None;
    }
    let what = format!("{name} has no layer");
    Some(Finding::new(package.manifest, 1, what, "add it to LAYERS in xtask/src/tidy/layers.rs"))
}

/// Why `package` may not depend on `dependency`, if it may not.
fn objection(package: &Package<'_>, dependency: &str) -> Option<String> {
    if package.is_guest() {
        let allowed = dependency == "aura-protocol-sdk" || SHARED_SCRIPTS.contains(&dependency);
        return (!allowed)
            .then(|| format!("a guest may depend on aura-protocol-sdk alone, not {dependency}"));
    }
    let name = package.short_name();
    if PURE.contains(&name) && IMPURE.contains(&dependency) {
        return Some(format!("{name} is pure and may not depend on {dependency}"));
    }
    if NEVER.iter().any(|(who, what)| *who == name && what.contains(&dependency)) {
        return Some(format!("{name} may never depend on {dependency}"));
    }
    let ours = dependency.strip_prefix("aura-")?;
    if TEST_ONLY.contains(&ours) && !TEST_ONLY.contains(&name) {
        return Some(format!("{dependency} is for [dev-dependencies] only"));
    }
    let (own, other) = (layer_of(name)?, layer_of(ours)?);
    if other < own || SAME_LAYER_ALLOWED.contains(&(name, ours)) {
        return None;
    }
    let relation = if own == other { "the same layer" } else { "a higher layer" };
    Some(format!("{name} (layer {own}) may not depend on {ours}, which is in {relation}"))
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|it| it.contains(&name))
}

/// A dependency by the name it has in the manifest and by its package.
struct Dependency {
    name: String,
    package: String,
}

/// The normal and build dependencies of a manifest, for every target.
fn shipped_dependencies(manifest: &Table, workspace: &Table) -> Vec<Dependency> {
    let shared = workspace.get("workspace").and_then(|it| it.get("dependencies"));
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flatten().filter_map(|(_, it)| it.as_table());
    let tables = std::iter::once(manifest).chain(per_target);
    let sections = ["dependencies", "build-dependencies"];
    tables
        .flat_map(|table| sections.iter().filter_map(|it| table.get(*it)?.as_table()))
        .flatten()
        .map(|(name, value)| {
            let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
            let source = if inherited { shared.and_then(|it| it.get(name)) } else { Some(value) };
            let renamed = source.and_then(|it| it.get("package")?.as_str());
            Dependency { name: name.clone(), package: renamed.unwrap_or(name).to_owned() }
        })
        .collect()
}

/// Where a manifest names a dependency.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().trim_start_matches('"').strip_prefix(name);
        rest.is_some_and(|it| it.starts_with([' ', '.', '=', '"']))
    };
    lines(manifest).find(|(_, line)| names(line)).map_or(1, |(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    const ROOT: &str = "[workspace.dependencies]\n\
                        aura-journal = { path = \"crates/journal\" }\n\
                        clock = { package = \"chrono\", version = \"1\" }\n";

    #[track_caller]
    fn check_manifest(folder: &str, dependencies: &str, expected: &[&str]) {
        let manifest = format!("[package]\nname = \"x\"\n{dependencies}");
        let path = format!("{folder}/Cargo.toml");
        let tree = tree(&[("Cargo.toml", ROOT), (&path, &manifest)]);
        let found: Vec<_> = check(&tree).into_iter().map(|it| it.what).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn downwards_is_fine() {
        check_manifest("crates/agent", "[dependencies]\naura-journal = { workspace = true }", &[]);
        check_manifest("crates/agent", "[dev-dependencies]\naura-testkit = {}", &[]);
        check_manifest("crates/testkit", "[dependencies]\naura-protocol-core = {}", &[]);
    }

    #[test]
    fn upwards_is_found() {
        check_manifest(
            "crates/journal",
            "[dependencies]\naura-agent = {}",
            &["journal (layer 3) may not depend on agent, which is in a higher layer"],
        );
    }

    #[test]
    fn sideways_is_found_unless_it_is_the_macros() {
        check_manifest(
            "crates/transport",
            "[dependencies]\naura-crypto = {}",
            &["transport (layer 1) may not depend on crypto, which is in the same layer"],
        );
        let macros = "[dependencies]\naura-choreography-macros = {}";
        check_manifest("crates/choreography", macros, &[]);
    }

    #[test]
    fn every_kind_of_dependency_that_ships_is_seen() {
        check_manifest(
            "crates/journal",
            "[build-dependencies]\naura-cli = {}",
            &["journal (layer 3) may not depend on cli, which is in a higher layer"],
        );
        check_manifest(
            "crates/journal",
            "[target.'cfg(unix)'.dependencies]\ntokio = \"1\"",
            &["journal is pure and may not depend on tokio"],
        );
    }

    #[test]
    fn a_renamed_dependency_is_known_by_its_package() {
        check_manifest(
            "crates/coordination",
            "[dependencies]\nclock = { workspace = true }",
            &["coordination is pure and may not depend on chrono"],
        );
        check_manifest(
            "crates/coordination",
            "[dependencies]\nx = { package = \"rand\" }",
            &["coordination is pure and may not depend on rand"],
        );
    }

    #[test]
    fn the_pure_never_see_network_or_sandbox() {
        check_manifest(
            "crates/distribution",
            "[dependencies]\naura-wasm-host = {}",
            &["distribution may never depend on aura-wasm-host"],
        );
        check_manifest(
            "crates/journal",
            "[dependencies]\naura-transport = {}",
            &["journal may never depend on aura-transport"],
        );
    }

    #[test]
    fn the_sandbox_knows_only_the_core() {
        check_manifest(
            "crates/wasm-host",
            "[dependencies]\naura-protocol-sdk = {}",
            &["wasm-host (layer 1) may not depend on protocol-sdk, which is in a higher layer"],
        );
    }

    #[test]
    fn test_helpers_do_not_ship() {
        check_manifest(
            "crates/agent",
            "[dependencies]\naura-testkit = {}",
            &["aura-testkit is for [dev-dependencies] only"],
        );
        check_manifest(
            "xtask",
            "[dependencies]\naura-testkit = {}",
            &["aura-testkit is for [dev-dependencies] only"],
        );
    }

    #[test]
    fn a_guest_sees_only_the_sdk() {
        check_manifest("protocols/counter", "[dependencies]\naura-protocol-sdk = {}", &[]);
        check_manifest("protocols/dkd", "[dependencies]\naura-derivation = {}", &[]);
        check_manifest(
            "protocols/counter",
            "[dependencies]\nborsh = \"1\"",
            &["a guest may depend on aura-protocol-sdk alone, not borsh"],
        );
    }

    #[test]
    fn guests_may_share_a_package_which_is_held_to_the_same_rule() {
        let package = |dependencies| format!("[package]\n[dependencies]\n{dependencies}\n");
        let tree = tree(&[
            ("protocols/counter/Cargo.toml", &package("counter-common = {}")),
            ("protocols/counter-common/Cargo.toml", &package("serde = \"1\"")),
        ]);
        let found: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("protocols/counter-common/Cargo.toml:3: a guest may"));
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        check_manifest("crates/novelty", "", &["novelty has no layer"]);
    }

    #[test]
    fn a_finding_points_at_the_line() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\naura-agent = {}\n";
        let found = check(&tree(&[("crates/journal/Cargo.toml", manifest)]));
        assert_eq!(found[0].line, 5);
    }
}
