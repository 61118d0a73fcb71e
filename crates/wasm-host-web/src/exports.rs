//! What the page calls. Each answers with JSON, which `shown.rs` defines.

use aura_wasm_host::trace::{self, RunError, Script};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{
    browser::BrowserModule,
    shown::{Failure, SHOWN_STEPS_MAX, ShownModule, ShownRun, ShownStep},
};

/// What a call answers with.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Module(ShownModule),
    Run(ShownRun),
    Error(Failure),
}

impl Answer {
    fn json(&self) -> String {
        // All keys are texts and no value can fail: what is left is a browser without memory.
        serde_json::to_string(self).unwrap_or_else(|_| {
            r#"{"error":{"code":"OutOfMemory","message":"this browser has no memory left"}}"#
                .to_owned()
        })
    }
}

/// A module, and whether a device would run it.
#[wasm_bindgen]
#[must_use]
pub fn inspect(bytes: &[u8]) -> String {
    Answer::Module(ShownModule::of(bytes, BrowserModule::prepare).0).json()
}

/// Runs a script on a module, in this browser's engine.
#[wasm_bindgen]
#[must_use]
pub fn run(bytes: &[u8], script: &str) -> String {
    ran(bytes, script).map_or_else(Answer::Error, Answer::Run).json()
}

fn ran(bytes: &[u8], script: &str) -> Result<ShownRun, Failure> {
    let script = Script::parse(script).map_err(|it| Failure::new("ScriptInvalid", &it))?;
    let prepared = ShownModule::of(bytes, BrowserModule::prepare).1;
    let (checked, module) = prepared.map_err(|it| Failure::new(it.code(), &it))?;
    let mut log = Vec::new();
    let mut seen = |step: &trace::Step| {
        if log.len() < SHOWN_STEPS_MAX {
            log.push(ShownStep::from(step));
        }
    };
    let mut call = |envelope: &_, fuel| module.call(envelope, fuel);
    trace::run(checked.digest(), checked.descriptor(), &script, &mut call, &mut seen)
        .map_err(|it: RunError| Failure::new(it.code(), &it))
        .map(|it| ShownRun::new(it, log))
}
