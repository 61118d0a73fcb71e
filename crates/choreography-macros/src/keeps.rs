//! What a choreography may not hold: anything that keeps a value beside the log of answers.
//!
//! A value that only one device knows could get out of its step through a cell, an atomic or a static,
//! and would be lost or different when the log is replayed. What a function names itself is found here;
//! what hides behind a call is found by the conformance suite, which runs every log twice.

use proc_macro2::{TokenStream, TokenTree};

use crate::error::Errors;

/// Types that can change behind a shared reference.
const KEEPERS: [&str; 10] = [
    "Cell",
    "RefCell",
    "UnsafeCell",
    "OnceCell",
    "LazyCell",
    "OnceLock",
    "LazyLock",
    "Mutex",
    "RwLock",
    "thread_local",
];

/// Refuses each of them, at the author's token.
pub(crate) fn check(tokens: TokenStream, errors: &mut Errors) {
    let mut after_quote = false;
    for token in tokens {
        let is_lifetime = after_quote;
        after_quote = matches!(&token, TokenTree::Punct(it) if it.as_char() == '\'');
        match token {
            TokenTree::Group(group) => check(group.stream(), errors),
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                if name == "static" && !is_lifetime {
                    let what = "a choreography keeps nothing beside its log: no `static` in it";
                    errors.at(&ident, what);
                } else if KEEPERS.contains(&name.as_str()) || is_atomic(&name) {
                    let what = format!(
                        "a choreography keeps nothing beside its log: what `{name}` holds is lost or \
                         different when the session is restored; return it from the step instead"
                    );
                    errors.at(&ident, what);
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// `AtomicBool`, `AtomicU8`, …
fn is_atomic(name: &str) -> bool {
    let kinds = ["Bool", "Ptr", "I", "U"];
    name.strip_prefix("Atomic").is_some_and(|it| kinds.iter().any(|kind| it.starts_with(kind)))
}
