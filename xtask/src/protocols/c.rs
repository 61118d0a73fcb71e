//! The guest that is not Rust: one file of C, built where a compiler for it is there.
//!
//! Elsewhere the module that lies beside the file is taken, so that every machine tests it. Which
//! compiler made that one is in `built.toml`; the same compiler must make the same bytes again.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aura_guest_build::build::{Guest, finish};
use serde::{Deserialize, Serialize};

use crate::command::{Invocation, Runner, Streams, demand};
use crate::workspace::Workspace;

/// The guest's folder in `protocols/`, and its module's name.
const NAME: &str = "counter-1-0-0-c";
const SOURCE: &str = "counter.c";
const COMPILER: &str = "clang";
/// What `clang` starts by itself to link WebAssembly.
const LINKER: &str = "wasm-ld";
const ARGUMENTS: [&str; 11] = [
    "--target=wasm32",
    "-std=c11",
    "-Os",
    "-ffreestanding",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    SOURCE,
];

/// What made the module that is kept beside its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Built {
    /// The first line of `clang --version`.
    compiler: String,
    /// BLAKE3 of the module.
    digest: String,
}

/// A guest of C, and what it was made of.
pub struct CGuest {
    /// The module.
    pub guest: Guest,
    /// The compiler that made it now; none where the kept module was taken.
    compiler: Option<String>,
    file: PathBuf,
    folder: PathBuf,
}

/// Builds it, or takes the module that is kept, and says which on standard error.
pub fn build(runner: &impl Runner, workspace: &Workspace) -> Result<CGuest> {
    let folder = workspace.guests().join(NAME);
    let compiler = compiler(runner);
    let file = match &compiler {
        Ok(_) => {
            let into = workspace.guest_target();
            fs::create_dir_all(&into)
                .with_context(|| format!("{} cannot be made", into.display()))?;
            let file = into.join(format!("{NAME}.wasm"));
            let build = Invocation::new(COMPILER).args(ARGUMENTS).arg("-o").arg(&file).dir(&folder);
            demand(runner, &build, Streams::ToStderr)?;
            file
        }
        Err(missing) => {
            eprintln!("protocols: {missing} is not here, so {NAME} is the module that is kept");
            folder.join(format!("{NAME}.wasm"))
        }
    };
    let guest = finish(NAME.to_owned(), &file, &workspace.modules())?;
    Ok(CGuest { guest, compiler: compiler.ok(), file, folder })
}

/// The compiler by its own words, if its linker is there too; else which of both is missing.
fn compiler(runner: &impl Runner) -> Result<String, &'static str> {
    let version = |program| {
        let ask = Invocation::new(program).arg("--version");
        let ran = runner.run(&ask, Streams::Captured).ok().filter(|it| it.success());
        let text = ran.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        text.and_then(|it| it.lines().next().map(str::to_owned)).ok_or(program)
    };
    version(LINKER)?;
    version(COMPILER)
}

impl CGuest {
    /// Compares with the module that is kept, where its compiler is the one here.
    pub fn check(&self) -> Result<()> {
        let built = self.built()?;
        match &self.compiler {
            Some(compiler) if *compiler != built.compiler => {
                eprintln!("warning: {NAME} is kept as {} makes it, not {compiler}", built.compiler);
                Ok(())
            }
            _ if self.guest.digest != built.digest => {
                bail!("{NAME} has another digest than its built.toml says: {}", self.guest.digest)
            }
            _ => Ok(()),
        }
    }

    /// Keeps what was built, where it was.
    pub fn bless(&self) -> Result<()> {
        let Some(compiler) = self.compiler.clone() else { return Ok(()) };
        let built = Built { compiler, digest: self.guest.digest.clone() };
        let text = toml::to_string(&built).context("what built it cannot be written")?;
        fs::write(self.folder.join("built.toml"), text)?;
        fs::copy(&self.file, self.folder.join(format!("{NAME}.wasm")))?;
        Ok(())
    }

    fn built(&self) -> Result<Built> {
        let path = self.folder.join("built.toml");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::FakeRunner;

    fn guest(compiler: Option<&str>, digest: &str, folder: PathBuf) -> CGuest {
        let guest = Guest {
            name: NAME.to_owned(),
            bytes: 1,
            digest: digest.to_owned(),
            file: PathBuf::new(),
        };
        CGuest { guest, compiler: compiler.map(str::to_owned), file: PathBuf::new(), folder }
    }

    #[test]
    fn both_programs_must_be_there() {
        assert_eq!(compiler(&FakeRunner::default()), Err(LINKER));
        let linker = || FakeRunner::default().on("wasm-ld --version", 0, "LLD 14.0.6\n");
        assert_eq!(compiler(&linker()), Err(COMPILER));
        let both = linker().on("clang --version", 0, "clang version 14\nTarget: x86_64\n");
        assert_eq!(compiler(&both), Ok("clang version 14".to_owned()));
    }

    #[test]
    fn the_same_compiler_makes_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("built.toml"), "compiler = \"clang 1\"\ndigest = \"ab\"\n")
            .unwrap();
        let check = |compiler, digest| guest(compiler, digest, dir.path().into()).check().is_ok();
        assert!(check(Some("clang 1"), "ab") && check(None, "ab"));
        assert!(!check(Some("clang 1"), "cd"), "another file of the same compiler");
        assert!(!check(None, "cd"), "the kept module was changed");
        assert!(check(Some("clang 2"), "cd"), "another compiler may make another file");
    }
}
