//! A program that only compiles one module, for those whose own program cannot be its own child.

use std::process::ExitCode;

fn main() -> ExitCode {
    aura_wasm_host::isolate::run_child_if_asked();
    eprintln!(
        "this program compiles modules for another one, which starts it; there is nothing else to do"
    );
    ExitCode::FAILURE
}
