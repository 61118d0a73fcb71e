//! `cargo xtask test [SUITE]`: everything a fresh machine needs, then the tests.
//!
//! The tests run guests as real modules, so the guests are built first.

use std::{env, ffi::OsString, fs};

use anyhow::{Context, Result, bail};

use crate::browser;
use crate::command::{Invocation, Shell, Streams, demand};
use crate::net;
use crate::protocols;
use crate::provision::Choice;
use crate::workspace::Workspace;

/// Suites of more than one crate; beside them each crate is a suite by its folder's name. The name
/// `guests` among the members stands for the workspace in protocols/.
const GROUPS: [(&str, &str, &[&str]); 2] = [
    (
        "modules",
        "what a module is and what it meets",
        &["protocol-core", "protocol-sdk", "wasm-host", "testkit", GUESTS],
    ),
    ("ledger", "what is true, and who may change it", &["crypto", "journal", "distribution"]),
];

/// The suite of the guests' own tests, on the host.
const GUESTS: &str = "guests";
/// The suite that explores every choreography, with crashes and liars, in every order.
const MODEL: &str = "model";
/// The suite that drives the page of `cargo xtask web` in a real browser.
const BROWSER: &str = "browser";
/// The suite that runs the main job on hosts of their own.
const NET: &str = "net";
/// The crate whose program explores.
const SIMULATOR: &str = "simulator";

/// A name that `cargo xtask test` accepts, and the packages it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    name: String,
    about: String,
    packages: Vec<String>,
    guests: bool,
    model: bool,
    browser: bool,
    net: bool,
}

/// Every suite of this repository.
pub fn all(workspace: &Workspace) -> Result<Vec<Suite>> {
    let dir = workspace.root().join("crates");
    let entries =
        fs::read_dir(&dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut crates = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            crates.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    crates.sort();
    Ok(suites_of(&crates))
}

/// The groups whose crates exist, then each crate, then xtask.
fn suites_of(crates: &[String]) -> Vec<Suite> {
    let package = |it: &str| format!("aura-{it}");
    let groups = GROUPS.iter().map(|(name, about, members)| {
        let present = members.iter().filter(|it| crates.iter().any(|name| name == *it));
        let packages: Vec<String> = present.map(|it| package(it)).collect();
        let guests = members.contains(&GUESTS);
        Suite {
            name: (*name).to_owned(),
            about: (*about).to_owned(),
            packages,
            guests,
            model: false,
            browser: false,
            net: false,
        }
    });
    let single = |name: &String| Suite {
        name: name.clone(),
        about: format!("the crate in crates/{name}"),
        packages: vec![package(name)],
        guests: false,
        model: false,
        browser: false,
        net: false,
    };
    let guests = Suite {
        name: GUESTS.to_owned(),
        about: "the protocols themselves, natively".to_owned(),
        packages: Vec::new(),
        guests: true,
        model: false,
        browser: false,
        net: false,
    };
    let model = Suite {
        name: MODEL.to_owned(),
        about: "every choreography explored: crashes, silence, liars".to_owned(),
        packages: Vec::new(),
        guests: false,
        model: true,
        browser: false,
        net: false,
    };
    let browser = Suite {
        name: BROWSER.to_owned(),
        about: "the page of `cargo xtask web` in a real browser".to_owned(),
        packages: Vec::new(),
        guests: false,
        model: false,
        browser: true,
        net: false,
    };
    let net = Suite {
        name: NET.to_owned(),
        about: "the main job on hosts of their own, across a bad network (minutes)".to_owned(),
        packages: Vec::new(),
        guests: false,
        model: false,
        browser: false,
        net: true,
    };
    let model = crates.iter().any(|it| it == SIMULATOR).then_some(model);
    let xtask = Suite {
        name: "xtask".to_owned(),
        about: "the tasks themselves".to_owned(),
        packages: vec!["xtask".to_owned()],
        guests: false,
        model: false,
        browser: false,
        net: false,
    };
    groups
        .filter(|it| !it.packages.is_empty())
        .chain(crates.iter().map(single))
        .chain(model)
        .chain([browser, net, guests, xtask])
        .collect()
}

/// The suites as `--help` lists them.
pub fn help(suites: &[Suite]) -> String {
    let mut text = "Suites (without one, every test runs):\n".to_owned();
    for Suite { name, about, .. } in suites {
        text.push_str(&format!("  {name:<16} {about}\n"));
    }
    text
}

/// Runs every test, or one suite's.
pub fn run(workspace: &Workspace, choice: Choice, name: Option<&str>) -> Result<()> {
    // The name is looked at first: a typing error should not cost a build.
    let suite = name.map(|name| find(all(workspace)?, name)).transpose()?;
    if suite.as_ref().is_none_or(|it| it.model) {
        demand(&Shell, &model_run(workspace), Streams::Inherited)?;
    }
    if suite.as_ref().is_some_and(|it| it.model) {
        demand(&Shell, &guest_models(workspace), Streams::Inherited)?;
        return Ok(());
    }
    if suite.as_ref().is_none_or(|it| it.browser) {
        browser::test(workspace, choice)?;
    }
    if suite.as_ref().is_some_and(|it| it.browser) {
        return Ok(());
    }
    if suite.as_ref().is_some_and(|it| it.net) {
        return net::test(workspace, choice);
    }
    protocols::ensure(workspace, choice)?;
    if suite.as_ref().is_none_or(|it| it.guests) {
        demand(&Shell, &seeded(guest_run(workspace), env::var_os(SEED)), Streams::Inherited)?;
    }
    for arguments in runs(suite.as_ref()) {
        let invocation = Invocation::new("cargo").args(&arguments).dir(workspace.root());
        demand(&Shell, &seeded(invocation, env::var_os(SEED)), Streams::Inherited)?;
    }
    Ok(())
}

/// The variable that property tests take their seed from.
pub const SEED: &str = "PROPTEST_RNG_SEED";

/// The same cases in every run, unless the caller named other ones: new cases are looked for by
/// `cargo xtask soak`, and by `cargo test`.
fn seeded(invocation: Invocation, given: Option<OsString>) -> Invocation {
    invocation.env(SEED, given.unwrap_or_else(|| "1".into()))
}

fn find(suites: Vec<Suite>, name: &str) -> Result<Suite> {
    let names: Vec<String> = suites.iter().map(|it| it.name.clone()).collect();
    let Some(suite) = suites.into_iter().find(|it| it.name == name) else {
        bail!("there is no suite {name:?}; there are {}", names.join(", "));
    };
    Ok(suite)
}

/// The explorer. It fails when a model does not come out as it must.
fn model_run(workspace: &Workspace) -> Invocation {
    Invocation::new("cargo")
        .args(["run", "--quiet", "--package=aura-simulator", "--bin=aura-explore"])
        .dir(workspace.root())
}

/// The models of guests, which the explorer's program does not know: the tests of the simulator whose
/// names say that a guest holds in every order.
fn guest_models(workspace: &Workspace) -> Invocation {
    Invocation::new("cargo")
        .args(["test", "--quiet", "--package=aura-simulator", "--test=it", "--", "in_every_order"])
        .dir(workspace.root())
}

/// The guests' tests: their own workspace and lockfile, and their own folder for what is built.
fn guest_run(workspace: &Workspace) -> Invocation {
    Invocation::new("cargo")
        .args(["test", "--no-fail-fast", "--locked", "--all-targets", "--target-dir"])
        .arg(workspace.guest_target())
        .dir(workspace.guests())
}

/// The crate whose engines are compared with each other, the interpreter among them.
const ENGINES: &str = "aura-wasm-host";

/// The comparison of all engines, on so many generated modules. The interpreter is a feature that nothing
/// else here is built with; the whole workspace is named so that its compilers are not built again.
fn engines_run() -> Vec<String> {
    let features = format!("--features={ENGINES}/engine-wasmi");
    ["test", "--workspace", &features, "--example=differential", "--", "5000"]
        .map(str::to_owned)
        .into()
}

/// The calls of cargo: the examples in documentation, the comparison of engines, then all targets.
/// The largest run comes last, so that the last line of the output is about tests that ran.
fn runs(suite: Option<&Suite>) -> Vec<Vec<String>> {
    let mut selection = vec!["--workspace".to_owned()];
    if let Some(suite) = suite {
        if suite.packages.is_empty() {
            return Vec::new();
        }
        selection = suite.packages.iter().map(|it| format!("--package={it}")).collect();
    }
    let call = |what: &str| {
        let start = ["test", "--no-fail-fast", what].map(str::to_owned);
        [start.to_vec(), selection.clone()].concat()
    };
    let has_library = |it: &String| it != "xtask" && it != "aura-cli";
    let documented = suite.is_none_or(|it| it.packages.iter().all(has_library));
    let engines = suite.is_none_or(|it| it.packages.iter().any(|it| it == ENGINES));
    let mut runs = Vec::new();
    runs.extend(documented.then(|| call("--doc")));
    runs.extend(engines.then(engines_run));
    runs.push(call("--all-targets"));
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites() -> Vec<Suite> {
        suites_of(&["cli", "crypto", "journal", "simulator", "wasm-host"].map(str::to_owned))
    }

    #[test]
    fn a_group_holds_the_crates_that_exist() {
        let modules = find(suites(), "modules").unwrap();
        assert_eq!(modules.packages, ["aura-wasm-host"]);
    }

    #[test]
    fn an_unknown_suite_is_answered_with_the_known_ones() {
        let error = find(suites(), "jurnal").unwrap_err().to_string();
        let known = "modules, ledger, cli, crypto, journal, simulator, wasm-host, model, \
                     browser, net, guests, xtask";
        assert_eq!(error, format!("there is no suite \"jurnal\"; there are {known}"));
    }

    #[test]
    fn a_suite_narrows_both_runs() {
        let commands = |suite| runs(suite).iter().map(|it| it.join(" ")).collect::<Vec<String>>();
        assert_eq!(
            commands(None),
            [
                "test --no-fail-fast --doc --workspace",
                "test --workspace --features=aura-wasm-host/engine-wasmi --example=differential \
                 -- 5000",
                "test --no-fail-fast --all-targets --workspace",
            ]
        );
        let journal = find(suites(), "journal").unwrap();
        assert_eq!(
            commands(Some(&journal)),
            [
                "test --no-fail-fast --doc --package=aura-journal",
                "test --no-fail-fast --all-targets --package=aura-journal",
            ]
        );
    }

    #[test]
    fn where_modules_are_tested_engines_are_compared() {
        let compares =
            |name: &str| runs(Some(&find(suites(), name).unwrap())).contains(&engines_run());
        assert!(compares("modules") && compares("wasm-host"));
        assert!(!compares("journal"));
    }

    #[test]
    fn the_guests_have_a_run_of_their_own() {
        let guests = find(suites(), "guests").unwrap();
        assert_eq!(runs(Some(&guests)), Vec::<Vec<String>>::new());
        assert!(guests.guests && find(suites(), "modules").unwrap().guests);
        assert!(!find(suites(), "journal").unwrap().guests);
    }

    #[test]
    fn the_model_is_a_run_of_its_own() {
        let model = find(suites(), "model").unwrap();
        assert!(model.model && runs(Some(&model)).is_empty());
        assert!(suites_of(&["cli".to_owned()]).iter().all(|it| !it.model));
    }

    /// It takes minutes, so it runs when it is asked for.
    #[test]
    fn the_network_is_a_run_of_its_own() {
        let net = find(suites(), "net").unwrap();
        assert!(net.net && !net.guests && runs(Some(&net)).is_empty());
    }

    #[test]
    fn a_program_has_no_library_to_document() {
        let cli = find(suites(), "cli").unwrap();
        assert_eq!(
            runs(Some(&cli)),
            [["test", "--no-fail-fast", "--all-targets", "--package=aura-cli"]]
        );
    }

    #[test]
    fn properties_are_tried_on_the_same_cases_unless_others_are_named() {
        let run = || Invocation::new("cargo");
        assert_eq!(seeded(run(), None), run().env(SEED, "1"));
        assert_eq!(seeded(run(), Some("77".into())), run().env(SEED, "77"));
    }

    #[test]
    fn help_names_every_suite() {
        let text = help(&suites());
        assert!(suites().iter().all(|it| text.contains(&it.name)), "{text}");
    }
}
