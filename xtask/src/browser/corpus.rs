//! The hostile corpus in the page: each module gets the answer there that it gets natively.
//!
//! What each must get natively is tested in `crates/wasm-host`, against the same list.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::checks::Bench;
use crate::command::{Invocation, Shell, Streams, demand};

/// A session begins, and a person says something: whatever a module does at a step, it does here.
const SCRIPT: &str = "start 1\nsignal 1 go\n";

/// A module that means harm, and what it must get.
#[derive(Debug, PartialEq, Eq)]
struct Hostile<'a> {
    file: &'a str,
    is_refused: bool,
    code: &'a str,
    name: &'a str,
}

/// Takes every module of the corpus to the page.
pub fn check(bench: &Bench<'_>) -> Result<()> {
    let folder = bench.pictures.join("corpus");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("what an earlier run left is in the way")?;
    }
    let write = Invocation::new("cargo")
        .args(["run", "--quiet", "--package=aura-testkit", "--example=corpus", "--"])
        .arg(&folder)
        .dir(bench.workspace.root());
    let written = demand(&Shell, &write, Streams::StdoutCaptured)?;
    let list = String::from_utf8(written.stdout).context("the corpus has strange names")?;
    let corpus = read(&list)?;
    let mut codes = BTreeSet::new();
    for module in &corpus {
        one(bench, &folder, module).with_context(|| format!("hostile module {:?}", module.name))?;
        codes.insert(module.code);
    }
    let refused = corpus.iter().filter(|it| it.is_refused).count();
    let trapped = corpus.len() - refused;
    ensure!(0 < refused && 0 < trapped, "{refused} refused, {trapped} trapped: too few");
    println!(
        "browser: hostile corpus: {refused} refused and {trapped} trapped as natively, {} reasons",
        codes.len()
    );
    Ok(())
}

fn one(bench: &Bench<'_>, folder: &Path, module: &Hostile<'_>) -> Result<()> {
    let file = folder.join(module.file);
    // The page shows the module before; what it says next is of this one.
    bench.browser.evaluate("document.getElementById('module').hidden = true")?;
    bench.choose_file(&file)?;
    if module.is_refused {
        bench.says("verdict", "Refused")?;
        let code = bench.text("verdict-code")?;
        ensure!(code == module.code, "the page says {code}, and natively it is {}", module.code);
        ensure!(bench.hidden("runner")?, "a refused module can be run");
        return Ok(());
    }
    bench.says("verdict", "Accepted")?;
    let native = bench.native(&file, SCRIPT)?;
    let trace = native.pointer("/trace").and_then(|it| it.as_str()).context("no native trace")?;
    bench
        .browser
        .evaluate(&format!("document.getElementById('expected').value = {}", json!(trace)))?;
    bench.run_script(SCRIPT)?;
    ensure!(bench.hidden("failure")?, "the page could not run it: {}", bench.text("failure")?);
    let log = bench.text("log-rows")?;
    ensure!(log.contains(&format!("trapped: {}", module.code)), "the page's steps are {log:?}");
    bench.says("comparison", "Equal")
}

/// The list that the program of the corpus prints.
fn read(list: &str) -> Result<Vec<Hostile<'_>>> {
    let line = |line| {
        let mut parts = str::splitn(line, 4, '\t');
        let mut part = || parts.next().with_context(|| format!("no line of the list: {line:?}"));
        let (file, stage, code, name) = (part()?, part()?, part()?, part()?);
        ensure!(["prepare", "step"].contains(&stage), "no stage: {stage:?}");
        Ok(Hostile { file, is_refused: stage == "prepare", code, name })
    };
    list.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let found = read("0.wasm\tprepare\tMalformed\ta, b\n1.wasm\tstep\tOutOfFuel\tc\n").unwrap();
        let refused = Hostile { file: "0.wasm", is_refused: true, code: "Malformed", name: "a, b" };
        assert_eq!(found[0], refused);
        assert!(!found[1].is_refused && found[1].code == "OutOfFuel");
        assert!(read("0.wasm\tlater\tMalformed\ta\n").is_err());
        assert!(read("0.wasm\tstep\n").is_err());
    }
}
