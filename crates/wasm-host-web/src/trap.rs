//! What a browser's word for a trap means. The specification names the traps and leaves their words to
//! each engine: these are V8's, SpiderMonkey's and JavaScriptCore's. A browser's full stack is none of
//! them: the module's own budget ends first, or this browser cannot run what every device should.

use aura_wasm_host::Trapped;

/// Parts of the words, in the order in which they are looked for.
const WORDS: [(&str, Trapped); 14] = [
    // Tables come before memories, which share words with them.
    ("signature", Trapped::BadIndirectCall),
    ("null function", Trapped::BadIndirectCall),
    ("indirect call to null", Trapped::BadIndirectCall),
    ("null table entry", Trapped::BadIndirectCall),
    ("out of bounds", Trapped::OutOfBounds),
    ("out-of-bounds", Trapped::OutOfBounds),
    ("outside the bounds", Trapped::OutOfBounds),
    ("does not fit", Trapped::OutOfBounds),
    ("divide by zero", Trapped::Arithmetic),
    ("division by zero", Trapped::Arithmetic),
    ("remainder by zero", Trapped::Arithmetic),
    ("integer overflow", Trapped::Arithmetic),
    ("divide result unrepresentable", Trapped::Arithmetic),
    ("unreachable", Trapped::Unreachable),
];

/// The trap that `said` speaks of, if it speaks of one.
#[must_use]
pub fn meaning(said: &str) -> Option<Trapped> {
    let said = said.to_lowercase();
    WORDS.iter().find(|(word, _)| said.contains(word)).map(|(_, trapped)| trapped.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn means(said: &str, code: Option<&str>) {
        assert_eq!(meaning(said).as_ref().map(Trapped::code), code, "{said}");
    }

    #[test]
    fn three_engines_are_understood() {
        let error = |it| format!("RuntimeError: {it}");
        for said in
            ["unreachable", "unreachable executed", "Unreachable code should not be executed"]
        {
            means(&error(said), Some("Unreachable"));
        }
        for said in [
            "memory access out of bounds",
            "table index is out of bounds",
            "index out of bounds",
            "Out of bounds memory access",
            "Out of bounds call_indirect",
            "WebAssembly.Instance(): data segment 0 is out of bounds (offset 9 + size 9 > memory_size 9)",
        ] {
            means(&error(said), Some("OutOfBounds"));
        }
        for said in [
            "null function or function signature mismatch",
            "indirect call signature mismatch",
            "indirect call to null",
            "call_indirect to a signature that does not match",
            "call_indirect to a null table entry",
        ] {
            means(&error(said), Some("BadIndirectCall"));
        }
        for said in
            ["divide by zero", "integer divide by zero", "Division by zero", "integer overflow"]
        {
            means(&error(said), Some("Arithmetic"));
        }
    }

    #[test]
    fn what_is_no_trap_is_the_browsers_own_failure() {
        means("RangeError: Maximum call stack size exceeded", None);
        means("InternalError: too much recursion", None);
        means(
            "RangeError: WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory",
            None,
        );
    }
}
