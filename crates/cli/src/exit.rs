//! Exit codes: what kind of end a command came to.

use aura_agent::AgentError;

/// What `aura --help` says about them.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  refused or failed
  2  wrong usage
  3  the store is in use, not running, missing or unavailable
  4  the store is damaged or of a newer format";

/// The stable code of an error in the command line itself.
pub const USAGE: &str = "Usage";

/// What ends a command whose answer is a refusal, and which has said why.
pub const REFUSED: u8 = 1;

/// The exit code of an error.
pub fn code(error: &AgentError) -> u8 {
    match error.code.as_str() {
        USAGE => 2,
        "StoreInUse" | "StoreNotFound" | "StoreIo" | "StoreEngine" | "ModuleStore"
        | "ControlUnavailable" | "NotRunning" => 3,
        "StoreDamaged" | "StoreUnrepairable" | "IdentityDamaged" | "StoreNewerFormat" => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use aura_agent::Whose;

    use super::*;

    /// INV-E1: scripts tell by the code alone what to do next.
    #[test]
    fn kinds_of_errors_stay_apart() {
        for (name, expected) in [
            ("Usage", 2),
            ("StoreInUse", 3),
            ("StoreNotFound", 3),
            ("NotRunning", 3),
            ("StoreDamaged", 4),
            ("StoreNewerFormat", 4),
            ("DigestMismatch", 1),
            ("", 1),
        ] {
            let error = AgentError::new(name, "message", Whose::Caller, "next");
            assert_eq!(code(&error), expected, "{name}");
        }
    }
}
