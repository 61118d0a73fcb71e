//! What the page must do, check by check. Each begins with a page freshly opened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::devtools::{Browser, at};
use super::{corpus, scripts};
use crate::command::{Invocation, Shell, Streams, demand};
use crate::demo::hostile::importing_module;
use crate::workspace::Workspace;

/// Real steps that the page and the native host are compared on, of each guest.
const STEPS_MIN: u64 = 300;
/// Sessions of a script; a session has some ten steps.
const SESSIONS: u64 = 40;

/// What the checks work with.
pub struct Bench<'a> {
    /// The repository.
    pub workspace: &'a Workspace,
    /// The `aura` program.
    pub aura: &'a Path,
    /// The browser.
    pub browser: &'a Browser,
    /// Where the page is.
    pub address: &'a str,
    /// Where pictures of it go.
    pub pictures: &'a Path,
}

type Check = (&'static str, fn(&Bench<'_>) -> Result<()>);

const CHECKS: [Check; 7] = [
    ("a module is shown", a_module_is_shown),
    ("session types are shown", session_types_are_shown),
    ("a hostile module is refused", a_hostile_module_is_refused),
    ("the counter's trace is the native one", the_counters_trace_is_the_native_one),
    ("the poll's trace is the native one", the_polls_trace_is_the_native_one),
    ("a wrong script is explained", a_wrong_script_is_explained),
    ("the hostile corpus gets its native answers", corpus::check),
];

/// Runs every check, and says how many passed. The first failure ends the run.
pub fn run(bench: &Bench<'_>) -> Result<usize> {
    for (name, check) in CHECKS {
        bench.browser.open(bench.address)?;
        bench.browser.until("document.getElementById('state').textContent === 'Ready.'")?;
        check(bench).with_context(|| format!("browser: {name}: FAILED"))?;
        let complaints = bench.browser.complaints();
        ensure!(complaints.is_empty(), "browser: {name}: the page complains: {complaints:?}");
        println!("browser: {name}: ok");
    }
    Ok(CHECKS.len())
}

fn a_module_is_shown(bench: &Bench<'_>) -> Result<()> {
    bench.choose("counter-2-0-0")?;
    bench.says("verdict", "Accepted")?;
    for fact in ["counter 2.0.0", "write-records", "once metered", "the authors of Aura"] {
        bench.says("facts", fact)?;
    }
    let bytes = fs::read(bench.module("counter-2-0-0"))?;
    bench.says("facts", blake3::hash(&bytes).to_hex().as_str())?;
    bench.picture("module")
}

fn session_types_are_shown(bench: &Bench<'_>) -> Result<()> {
    bench.choose("poll-1-0-0")?;
    bench.says("types", "Session type poll")?;
    let said = bench.text("types")?;
    ensure!(said.contains("sequenceDiagram"), "no diagram in {said}");
    Ok(())
}

fn a_hostile_module_is_refused(bench: &Bench<'_>) -> Result<()> {
    let honest = fs::read(bench.module("counter-2-0-0"))?;
    let file = bench.pictures.join("hostile.wasm");
    let bytes = importing_module(&honest).map_err(|error| anyhow::anyhow!("{error}"))?;
    fs::write(&file, bytes)?;
    bench.choose_file(&file)?;
    for word in ["Refused", "ImportNotAllowed", "read_private_files", "imports nothing"] {
        bench.says("verdict", word)?;
    }
    ensure!(bench.hidden("runner")?, "a refused module can be run");
    bench.picture("refused")
}

fn the_counters_trace_is_the_native_one(bench: &Bench<'_>) -> Result<()> {
    let script = scripts::counter(7, SESSIONS);
    bench.compare("counter-1-1-0", &script)?;
    bench.browser.evaluate("document.getElementById('expected').value = 'f'.repeat(64)")?;
    bench.run_script(&script)?;
    bench.says("comparison", "Different")
}

fn the_polls_trace_is_the_native_one(bench: &Bench<'_>) -> Result<()> {
    bench.compare("poll-1-0-0", &scripts::poll(11, SESSIONS))?;
    bench.picture("run")
}

fn a_wrong_script_is_explained(bench: &Bench<'_>) -> Result<()> {
    bench.choose("counter-2-0-0")?;
    bench.run_script("start 2\nsignal 3 5")?;
    bench.says("failure", "Line 2: `3` is no whole number from 1 to 2.")
}

impl Bench<'_> {
    fn module(&self, name: &str) -> PathBuf {
        self.workspace.modules().join(format!("{name}.wasm"))
    }

    fn choose(&self, guest: &str) -> Result<()> {
        self.choose_file(&self.module(guest))
    }

    pub fn choose_file(&self, file: &Path) -> Result<()> {
        self.browser.choose("#file", file)?;
        self.browser.until("!document.getElementById('module').hidden")
    }

    /// What an element says, also where it is folded.
    pub fn text(&self, id: &str) -> Result<String> {
        let text =
            self.browser.evaluate(&format!("document.getElementById('{id}').textContent"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    pub fn says(&self, id: &str, expected: &str) -> Result<()> {
        let found = self.text(id)?;
        ensure!(found.contains(expected), "#{id} does not say {expected:?}, but {found:?}");
        ensure!(!self.hidden(id)?, "#{id} is not visible");
        Ok(())
    }

    pub fn hidden(&self, id: &str) -> Result<bool> {
        let shown = format!("document.getElementById('{id}').checkVisibility()");
        Ok(self.browser.evaluate(&shown)? != json!(true))
    }

    /// Types a script, presses Run and waits for what comes of it.
    pub fn run_script(&self, script: &str) -> Result<()> {
        let script = json!(script);
        let press = format!(
            "document.getElementById('script').value = {script}; document.getElementById('run').click()"
        );
        self.browser.evaluate(&press)?;
        self.browser.until(
            "document.getElementById('stop').disabled && \
             !(document.getElementById('result').hidden && document.getElementById('failure').hidden)",
        )
    }

    /// Runs a script natively and in the page, which is told the native trace.
    fn compare(&self, guest: &str, script: &str) -> Result<()> {
        let native = self.native(&self.module(guest), script)?;
        let (trace, steps) =
            (at(&native, "/trace").as_str(), at(&native, "/steps").as_u64().unwrap_or(0));
        let trace = trace.with_context(|| format!("aura printed no trace: {native}"))?;
        ensure!(STEPS_MIN <= steps, "{steps} steps of {guest} are fewer than {STEPS_MIN}");
        self.choose(guest)?;
        let paste = format!("document.getElementById('expected').value = '{trace}'");
        self.browser.evaluate(&paste)?;
        self.run_script(script)?;
        if !self.hidden("failure")? {
            bail!("the page could not run it: {}", self.text("failure")?);
        }
        let found = self.text("trace")?;
        ensure!(found == trace, "{guest}: the page's trace is {found}, the native one {trace}");
        self.says("comparison", "Equal")?;
        println!("browser: {guest}: {steps} steps, native and in the page: {trace}");
        Ok(())
    }

    /// Runs a script on a module natively: what `aura` prints of it.
    pub fn native(&self, module: &Path, script: &str) -> Result<Value> {
        let file = self.pictures.join("native.script");
        fs::write(&file, script)?;
        let aura = Invocation::new(self.aura)
            .dir(self.workspace.root())
            .args(["--json", "protocol", "run", "--trace"])
            .arg(module)
            .arg("--script")
            .arg(&file);
        let ran = demand(&Shell, &aura, Streams::StdoutCaptured)?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("aura printed {last:?}"))
    }

    fn picture(&self, name: &str) -> Result<()> {
        for (kind, width, scheme) in
            [("light", 1000, "light"), ("dark", 1000, "dark"), ("phone", 390, "light")]
        {
            let size =
                json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
            self.browser.call("Emulation.setDeviceMetricsOverride", size)?;
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.browser.call("Emulation.setEmulatedMedia", media)?;
            self.browser.picture(&self.pictures.join(format!("{name}-{kind}.png")))?;
        }
        Ok(())
    }
}
