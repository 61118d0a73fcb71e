//! `aura protocol new`: a crate that tests, builds and runs as it is, to be changed from there.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use aura_agent::{AgentError, Whose};
use aura_protocol_core::ProtocolName;
use clap::Args;
use serde::Serialize;

use crate::context::Context;

/// The files of a crate: where each goes, and its text.
const FILES: [(&str, &str); 9] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("README.md", include_str!("../../template/README.md.in")),
    (".gitignore", include_str!("../../template/gitignore.in")),
    ("rust-toolchain.toml", include_str!("../../template/rust-toolchain.toml.in")),
    ("src/lib.rs", include_str!("../../template/lib.rs.in")),
    ("tests/it/main.rs", include_str!("../../template/main.rs.in")),
    ("tests/it/native.rs", include_str!("../../template/native.rs.in")),
    ("tests/it/simulated.rs", include_str!("../../template/simulated.rs.in")),
    ("tests/it/conformance.rs", include_str!("../../template/conformance.rs.in")),
];

/// By this a folder is known as a checkout of the repository.
const SDK_MANIFEST: &str = "crates/protocol-sdk/Cargo.toml";

/// Names that mean something else in a crate: Rust's words, its crates, and what the template uses.
const TAKEN: [&str; 51] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue",
    "core", "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen",
    "if", "impl", "in", "let", "loop", "macro", "match", "mod", "module", "move", "mut", "pub",
    "reason", "ref", "return", "self", "static", "std", "steps", "stop", "string", "struct",
    "test", "trait", "try", "type", "use", "vec", "while",
];

/// Writes a new protocol's crate.
#[derive(Debug, Args)]
pub struct New {
    /// The protocol's name: small letters, digits and hyphens
    name: String,
    /// Where to write the crate [default: a folder of that name, here]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the SDK is: a checkout of Aura's repository, or the address of one for git
    /// [default: the checkout around the new crate, else the one that this program was built from]
    #[arg(long, value_name = "PLACE")]
    sdk: Option<String>,
}

#[derive(Serialize)]
struct Written {
    name: String,
    folder: PathBuf,
    sdk: String,
    files: Vec<&'static str>,
    next: Vec<String>,
}

impl New {
    /// Writes the files, all or an error.
    pub fn run(self, context: &Context) -> Result<(), AgentError> {
        let names = Names::of(&self.name)?;
        let folder = self.dir.unwrap_or_else(|| PathBuf::from(&self.name));
        let above = absolute(folder.parent().filter(|it| *it != Path::new("")))?;
        let last = folder.file_name().ok_or_else(|| {
            refused("FolderInvalid", format!("{} is no new folder", folder.display()))
        })?;
        let (place, sdk) = (above.join(last), Sdk::find(self.sdk, &above)?);
        make_empty(&place)?;
        for (file, text) in FILES {
            write(&place.join(file), &fill(text, &names, &sdk, &place))?;
        }
        sdk.copy_lockfile(&place)?;
        let shown = folder.display();
        let next = [
            format!("cd {shown}"),
            "cargo test".to_owned(),
            "aura protocol build".to_owned(),
            format!("aura protocol check target/wasm/{}.wasm", names.package),
        ];
        let text = format!("wrote {shown}, with its own README.md; next:\n  {}", next.join("\n  "));
        let files = FILES.iter().map(|it| it.0).collect();
        let (name, sdk, next) = (self.name, sdk.shown(), next.into());
        context.output.document(&text, &Written { name, folder: place, sdk, files, next })
    }
}

/// A protocol's name as each part of a crate spells it.
struct Names {
    protocol: String,
    package: String,
    module: String,
    script: String,
}

impl Names {
    fn of(protocol: &str) -> Result<Self, AgentError> {
        let name: ProtocolName =
            protocol.parse().map_err(|error| refused("NameInvalid", format!("{error}")))?;
        let protocol = name.to_string();
        let package = protocol.replace('.', "-");
        let module = package.replace('-', "_");
        let parts = module.split('_');
        if TAKEN.contains(&module.as_str()) || module.ends_with('_') || module.starts_with("aura_")
        {
            let message = format!("{protocol:?} means something else to the compiler");
            return Err(refused("NameInvalid", message));
        }
        let capital = |part: &str| {
            let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
            first.to_ascii_uppercase() + rest
        };
        let script = parts.map(capital).collect();
        Ok(Self { protocol, package, module, script })
    }
}

/// What a crate depends on.
enum Sdk {
    /// A checkout on this machine.
    Checkout(PathBuf),
    /// A repository that cargo fetches.
    Git(String),
}

impl Sdk {
    /// Nothing of Aura is in a registry, so whoever has this program has a checkout or an address.
    fn find(named: Option<String>, above: &Path) -> Result<Self, AgentError> {
        if let Some(named) = named {
            let folder = Path::new(&named);
            if folder.join(SDK_MANIFEST).is_file() {
                return absolute(Some(folder)).map(Self::Checkout);
            }
            if named.contains("://") || named.starts_with("git@") {
                return Ok(Self::Git(named));
            }
            let message = format!("{named} is no checkout of Aura's repository: no {SDK_MANIFEST}");
            return Err(no_sdk(message));
        }
        let around = above.ancestors().find(|it| it.join(SDK_MANIFEST).is_file());
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let is_there = |it: &&Path| it.join(SDK_MANIFEST).is_file();
        match around.or(built_from.filter(is_there)) {
            Some(found) => absolute(Some(found)).map(Self::Checkout),
            None => {
                let message = "there is no checkout of Aura's repository here, and the one that \
                               this program was built from is gone";
                Err(no_sdk(message.to_owned()))
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Checkout(root) => root.display().to_string(),
            Self::Git(url) => url.clone(),
        }
    }

    /// The versions that the repository itself is tested with; cargo leaves out what is not needed.
    fn copy_lockfile(&self, place: &Path) -> Result<(), AgentError> {
        let Self::Checkout(root) = self else { return Ok(()) };
        let (from, to) = (root.join("Cargo.lock"), place.join("Cargo.lock"));
        let text = fs::read_to_string(&from).map_err(|error| io(&from, "read", &error))?;
        write(&to, &text)
    }
}

/// `root` as a crate in `place` names it: relative inside the checkout, so that both move together.
fn beside(root: &Path, place: &Path) -> PathBuf {
    match place.strip_prefix(root) {
        Ok(inside) => inside.components().map(|_| Component::ParentDir).collect(),
        Err(_) => root.to_owned(),
    }
}

fn fill(text: &str, names: &Names, sdk: &Sdk, place: &Path) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(match (line.split_once("@SDK@"), sdk) {
            (Some((before, rest)), Sdk::Checkout(root)) => {
                let root = beside(root, place);
                format!("{before}path = \"{}/{}", root.display(), rest.replace("@END@", "\""))
            }
            // Cargo finds the package in the repository by its name.
            (Some((before, rest)), Sdk::Git(url)) => {
                let rest = rest.split_once("@END@").map_or("", |it| it.1);
                format!("{before}git = \"{url}\"{rest}")
            }
            (None, _) => line.to_owned(),
        });
    }
    lines.push(String::new());
    let text = lines.join("\n");
    let Names { protocol, package, module, script } = names;
    [("@NAME@", protocol), ("@PACKAGE@", package), ("@MODULE@", module), ("@CRATE@", module)]
        .into_iter()
        .chain([("@TYPE@", script)])
        .fold(text, |text, (mark, name)| text.replace(mark, name))
}

/// Makes the folder; one with something in it is somebody's work.
fn make_empty(folder: &Path) -> Result<(), AgentError> {
    fs::create_dir_all(folder).map_err(|error| io(folder, "made", &error))?;
    let mut entries = fs::read_dir(folder).map_err(|error| io(folder, "read", &error))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let message = format!("{} is not empty", folder.display());
    let next = "name a new folder with `--dir`, or another protocol";
    Err(AgentError::new("FolderInUse", message, Whose::Caller, next))
}

fn write(file: &Path, text: &str) -> Result<(), AgentError> {
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(file, text)).map_err(|error| io(file, "written", &error))
}

/// A folder that is there, by its whole path; without one, the current folder.
fn absolute(folder: Option<&Path>) -> Result<PathBuf, AgentError> {
    let folder = folder.unwrap_or(Path::new("."));
    folder.canonicalize().map_err(|error| io(folder, "found", &error))
}

fn io(path: &Path, what: &str, error: &io::Error) -> AgentError {
    let message = format!("{} cannot be {what}: {error}", path.display());
    AgentError::new("Io", message, Whose::Machine, "name a folder that can be written")
}

fn no_sdk(message: String) -> AgentError {
    let next = "name a checkout with `--sdk DIR`, or the address of one with `--sdk URL`";
    AgentError::new("SdkMissing", message, Whose::Caller, next)
}

fn refused(code: &str, message: String) -> AgentError {
    AgentError::new(code, message, Whose::Caller, "choose another name, such as `standup`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_spelled_for_each_part_of_a_crate() {
        let names = Names::of("team.stand-up2").unwrap();
        assert_eq!(names.package, "team-stand-up2");
        assert_eq!(
            (names.module.as_str(), names.script.as_str()),
            ("team_stand_up2", "TeamStandUp2")
        );
    }

    #[test]
    fn names_that_the_compiler_reads_otherwise_are_refused() {
        for name in ["match", "module", "std", "Standup", "2", "", "a..b", "a-", "aura-agent"] {
            assert_eq!(Names::of(name).err().unwrap().code, "NameInvalid", "{name:?}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let names = Names::of("standup").unwrap();
        let place = Path::new("/work/standup");
        for sdk in [Sdk::Checkout("/aura".into()), Sdk::Git("https://example.org/aura".into())] {
            for (file, text) in FILES {
                let text = fill(text, &names, &sdk, place);
                let left = ["@NAME", "@PACKAGE", "@MODULE", "@CRATE", "@TYPE", "@SDK", "@END"];
                assert!(left.iter().all(|it| !text.contains(it)), "{file}: {text}");
            }
        }
    }

    /// A module of the crate's own name would hide the crate.
    #[test]
    fn tests_name_the_crate_and_not_its_module() {
        let tests = FILES.iter().filter(|(file, _)| file.starts_with("tests/"));
        let named: Vec<&str> = tests.flat_map(|(_, text)| text.rsplit("@CRATE@").skip(1)).collect();
        assert!(3 < named.len() && named.iter().all(|before| before.ends_with("::")), "{named:?}");
    }

    #[test]
    fn a_crate_inside_the_checkout_moves_with_it() {
        assert_eq!(beside(Path::new("/aura"), Path::new("/aura/my/crate")), Path::new("../.."));
        assert_eq!(beside(Path::new("/aura"), Path::new("/work/crate")), Path::new("/aura"));
    }

    #[test]
    fn dependencies_name_a_checkout_or_an_address() {
        let names = Names::of("standup").unwrap();
        let line = |sdk: &Sdk| {
            let text = fill(FILES[0].1, &names, sdk, Path::new("/work/standup"));
            let line = text.lines().find(|it| it.starts_with("aura-wasm-host"));
            line.unwrap().to_owned()
        };
        let rest = "default-features = false, features = [\"engine-wasmi\"] }";
        let checkout = "aura-wasm-host = { path = \"/aura/crates/wasm-host\", ";
        assert_eq!(line(&Sdk::Checkout("/aura".into())), format!("{checkout}{rest}"));
        let git = "aura-wasm-host = { git = \"https://example.org/aura\", ";
        assert_eq!(line(&Sdk::Git("https://example.org/aura".into())), format!("{git}{rest}"));
    }
}
