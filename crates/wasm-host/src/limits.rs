//! What a module may cost before it runs, and while it runs. Each constant argues its value.
//!
//! Changing one changes which modules devices accept: count up [`GATE_VERSION`](crate::gate::VERSION)
//! and say so in CHANGELOG.md.

pub use aura_protocol_core::limits::{
    BATCH_RECORDS_MAX, CALL_BYTES_MAX, DESCRIPTOR_BYTES_MAX, MODULE_BYTES_MAX,
    SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX,
};

/// Code of all functions, in bytes. The largest real guest (ed25519, SHA-2, BLAKE3) has 0.6 MB, and
/// Cranelift compiles about 2 MB a second.
pub const CODE_BYTES_MAX: u64 = 2 << 20;
/// Code of one function, in bytes. A fully unrolled hash has 30 KB; register allocation grows
/// faster than the function.
pub const FUNCTION_BYTES_MAX: u64 = 64 << 10;
/// Functions. A 600 KB guest has 2,000.
pub const FUNCTIONS_MAX: u64 = 20_000;
/// Function types. rustc makes some 40.
pub const TYPES_MAX: u64 = 1_000;
/// Parameters of a function, and results. rustc passes what is larger by address; the specification
/// allows 1,000, which makes each call site expensive.
pub const PARAMS_MAX: u64 = 100;
/// Local variables of a function, parameters included. rustc's largest has 68 (docs/decisions/0033).
pub const LOCALS_MAX: u64 = 512;
/// Blocks inside each other. A recursive compiler overflows its own stack at some 50,000.
pub const NESTING_MAX: u64 = 256;
/// Operands on the stack of a function. rustc keeps below 40.
pub const OPERANDS_MAX: u64 = 256;
/// Targets of one `br_table`. A `match` on a byte has 256.
pub const BR_TABLE_TARGETS_MAX: u64 = 1_024;
/// Compile work of one function: edges of its control flow × (locals + 1). Turning locals into SSA
/// form costs that much; a 68 KB module took Cranelift 20 s and 740 MB without this rule.
pub const FUNCTION_WORK_MAX: u64 = 200_000;
/// Compile work of all functions together. A 600 KB guest has 400,000.
pub const MODULE_WORK_MAX: u64 = 1_000_000;
/// Estimated compile time of one function, in microseconds on the machine that it was measured on. A
/// function of 64 KiB of calls, loops or growths takes seconds; rustc's largest takes 23,000.
pub const FUNCTION_TIME_MAX: u64 = 200_000;
/// Estimated compile time of all functions together. Two megabytes of nothing but indirect calls took
/// Cranelift 9 s and 450 MB without this rule.
pub const MODULE_TIME_MAX: u64 = 1_000_000;
/// What a function adds to the estimate beside its operators: its entry, its frame, its symbols.
pub const FUNCTION_TIME_UNITS: u64 = 40;
/// Pages of 64 KiB that a module's memory begins with. rustc's default stack takes 16.
pub const MEMORY_INITIAL_PAGES_MAX: u64 = 64;
/// Pages of 64 KiB that a module's memory may grow to: 16 MiB for 1.25 MiB of input and output.
pub const MEMORY_PAGES_MAX: u64 = 256;
/// Elements of a module's table. A 600 KB guest has 300 function pointers.
pub const TABLE_ELEMENTS_MAX: u64 = 2_500;
/// Globals. rustc makes 3, AssemblyScript some 20.
pub const GLOBALS_MAX: u64 = 256;
/// Exports. The interface has 4; linkers add a few.
pub const EXPORTS_MAX: u64 = 64;
/// Data segments. rustc makes 2, AssemblyScript one for each text.
pub const DATA_SEGMENTS_MAX: u64 = 4_096;
/// Element segments.
pub const ELEMENT_SEGMENTS_MAX: u64 = 64;
/// Custom sections. rustc leaves 3.
pub const CUSTOM_SECTIONS_MAX: u64 = 32;
/// What calls inside each other may use of the logical stack. A frame costs its locals, its operands
/// and [`FRAME_UNITS`]; 32,768 units are some 4,000 small frames and fit into a host stack of 1 MiB.
pub const STACK_UNITS_MAX: u32 = 32_768;
/// What a frame costs beside its locals and operands: return address, saved registers.
pub const FRAME_UNITS: u32 = 4;
/// The host stack under a module, in bytes: four times what the logical budget was measured to need,
/// so that the logical one ends first on every machine.
pub const HOST_STACK_BYTES: usize = 2 << 20;
/// Fuel for the question what a module is.
pub const DESCRIBE_FUEL_MAX: u64 = 1_000_000;
/// Processor time of a compiler in a process of its own, in seconds. What passes the gate takes below
/// one; the second is for slow machines.
pub const COMPILE_CPU_SECONDS_MAX: u64 = 2;
/// Memory of a compiler in a process of its own, in bytes.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 256 << 20;
/// How long a compiler in a process of its own may take by the clock, in seconds: a busy machine gives
/// it a fifth of a processor, and a program that is no compiler never answers.
pub const COMPILE_WALL_SECONDS_MAX: u64 = 10;
/// Modules that may be pinned: one version each of the protocols that one account may run.
pub const PINNED_COUNT_MAX: usize = 256;
/// Artifact bytes of the modules that are pinned.
pub const PINNED_BYTES_MAX: usize = 256 << 20;
/// Compiled modules kept in memory beside the pinned: more than the protocols that one account runs at once.
pub const COMPILED_COUNT_MAX: usize = 64;
/// Artifact bytes of the compiled modules kept in memory beside the pinned.
pub const COMPILED_BYTES_MAX: usize = 128 << 20;
/// Largest artifact file that is read, in bytes. Cranelift makes 8 bytes of one at the most.
pub const ARTIFACT_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(MEMORY_INITIAL_PAGES_MAX <= MEMORY_PAGES_MAX);
const _: () = assert!(2 * CALL_BYTES_MAX as u64 <= MEMORY_PAGES_MAX * (64 << 10));
const _: () = assert!(FUNCTION_WORK_MAX <= MODULE_WORK_MAX);
