//! Programs of our own that a seed determines: well typed, mostly within their memory, and long.

use std::fmt::Write;

use aura_testkit::{hostile::Frame, seed::Seeded};

const FUNCTIONS: u64 = 4;
const BINARY: [&str; 15] = [
    "add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr", "div_u",
    "div_s", "rem_u", "rem_s",
];
const COMPARE: [&str; 10] =
    ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];
const UNARY: [&str; 5] = ["clz", "ctz", "popcnt", "extend8_s", "extend16_s"];

/// A module whose step runs a random program.
pub fn generate(random: &mut Seeded) -> Vec<u8> {
    let mut tail = String::from(
        "(type $f (func (param i32 i64) (result i64)))
         (global $g (mut i32) (i32.const 7)) (global $h (mut i64) (i64.const -9))
         (table 6 funcref) (elem (i32.const 0) $f0 $f1 $f2 $f3)",
    );
    for index in 0..FUNCTIONS {
        let mut writer = Writer { random, labels: 0 };
        let (body, result) = (writer.statements(3, index), writer.long(3, index));
        write!(
            tail,
            "(func $f{index} (type $f) (local i32 i64) (local $counter i32) {body} {result})"
        )
        .unwrap();
    }
    let body = "(local i32 i64) (do)
        (local.set 3 (call $f3 (local.get 1) (i64.load8_u (local.get 0))))
        (i64.or (i64.and (local.get 3) (i64.const 0x7fff)) (i64.const 0x4000000000))";
    Frame::new("program", "1.0.0").body(body).tail(&tail).build()
}

/// Locals: 0 and 2 are `i32`, 1 and 3 `i64`. A function calls only those of lower index directly.
struct Writer<'a> {
    random: &'a mut Seeded,
    labels: u64,
}

impl Writer<'_> {
    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        self.random.pick(choices).copied().unwrap_or_default()
    }

    fn statements(&mut self, depth: u64, index: u64) -> String {
        let count = 1 + self.random.below(4);
        (0..count).map(|_| self.statement(depth, index)).collect()
    }

    fn statement(&mut self, depth: u64, index: u64) -> String {
        let choice = self.random.below(if depth == 0 { 6 } else { 12 });
        match choice {
            0 => format!("(local.set 2 {})", self.int(depth, index)),
            1 => format!("(local.set 3 {})", self.long(depth, index)),
            2 => format!("(global.set $g {})", self.int(depth, index)),
            3 => format!("(global.set $h {})", self.long(depth, index)),
            4 => {
                let store = self.pick(&["i64.store", "i64.store8", "i64.store16", "i64.store32"]);
                format!("({store} {} {})", self.address(depth, index), self.long(depth, index))
            }
            5 => {
                let store = self.pick(&["i32.store", "i32.store8", "i32.store16"]);
                format!(
                    "({store} offset=3 {} {})",
                    self.address(depth, index),
                    self.int(depth, index)
                )
            }
            6 => self.repeat(depth - 1, index),
            7 => format!(
                "(if {} (then {}) (else {}))",
                self.int(depth - 1, index),
                self.statements(depth - 1, index),
                self.statements(depth - 1, index)
            ),
            8 => {
                let operation = self.pick(&["memory.fill", "memory.copy"]);
                let (to, from) = (self.address(1, index), self.address(1, index));
                format!(
                    "({operation} {to} {from} (i32.and {} (i32.const 0xfff)))",
                    self.int(1, index)
                )
            }
            9 => self.switch(depth - 1, index),
            10 => format!("(drop (memory.grow (i32.and {} (i32.const 3))))", self.int(1, index)),
            _ => match self.random.below(8) {
                0 => format!("(if {} (then (return {})))", self.int(0, index), self.long(0, index)),
                1 => format!("(if (i32.eqz {}) (then unreachable))", self.int(1, index)),
                _ => format!("(drop {})", self.call(depth - 1, index)),
            },
        }
    }

    /// At most 50 rounds, and fewer where it leaves early.
    fn repeat(&mut self, depth: u64, index: u64) -> String {
        self.labels += 1;
        let (label, rounds) = (self.labels, 1 + self.random.below(50));
        let body = self.statements(depth, index);
        let leave = self.int(depth.min(1), index);
        format!(
            "(local.set $counter (i32.const {rounds}))
             (block $out{label} (loop $again{label}
               (br_if $out{label} (i32.eq {leave} (i32.const 1)))
               {body}
               (local.set $counter (i32.sub (local.get $counter) (i32.const 1)))
               (br_if $again{label} (i32.gt_s (local.get $counter) (i32.const 0)))))"
        )
    }

    fn switch(&mut self, depth: u64, index: u64) -> String {
        let (choice, first) = (self.int(depth, index), self.statements(depth, index));
        format!(
            "(block (block (block (br_table 0 1 2 {choice})) {first} (br 1)) {})",
            self.statements(0, index)
        )
    }

    /// Mostly within the first page.
    fn address(&mut self, depth: u64, index: u64) -> String {
        let address = self.int(depth.min(1), index);
        match self.random.below(60) {
            0 => address,
            _ => format!("(i32.and {address} (i32.const 0xffff))"),
        }
    }

    fn call(&mut self, depth: u64, index: u64) -> String {
        let (int, long) = (self.int(depth, index), self.long(depth, index));
        match self.random.below(4) {
            0 => format!("(call_indirect (type $f) {int} {long} (i32.and {int} (i32.const 3)))"),
            1 if self.random.below(40) == 0 => {
                format!("(call_indirect (type $f) {int} {long} (i32.and {int} (i32.const 7)))")
            }
            _ if 0 < index => format!("(call $f{} {int} {long})", self.random.below(index)),
            _ => long,
        }
    }

    fn int(&mut self, depth: u64, index: u64) -> String {
        if depth == 0 {
            return match self.random.below(6) {
                0 => "(local.get 0)".to_owned(),
                1 => "(local.get 2)".to_owned(),
                2 => "(global.get $g)".to_owned(),
                3 => "(memory.size)".to_owned(),
                _ => format!("(i32.const {})", self.number() as i32),
            };
        }
        match self.random.below(7) {
            0 => format!("(i32.wrap_i64 {})", self.long(depth - 1, index)),
            1 => {
                let compare = self.pick(&COMPARE);
                format!(
                    "(i64.{compare} {} {})",
                    self.long(depth - 1, index),
                    self.long(depth - 1, index)
                )
            }
            2 => {
                let unary = self.pick(&UNARY);
                format!("(i32.{unary} {})", self.int(depth - 1, index))
            }
            3 => {
                let load = self.pick(&["load", "load8_u", "load8_s", "load16_u", "load16_s"]);
                format!("(i32.{load} {})", self.address(depth - 1, index))
            }
            4 => {
                let compare = self.pick(&COMPARE);
                format!(
                    "(i32.{compare} {} {})",
                    self.int(depth - 1, index),
                    self.int(depth - 1, index)
                )
            }
            _ => {
                let (operation, right) = (self.binary(), self.int(depth - 1, index));
                let right = divisor("i32", operation, &right);
                format!("(i32.{operation} {} {right})", self.int(depth - 1, index))
            }
        }
    }

    fn long(&mut self, depth: u64, index: u64) -> String {
        if depth == 0 {
            return match self.random.below(5) {
                0 => "(local.get 1)".to_owned(),
                1 => "(local.get 3)".to_owned(),
                2 => "(global.get $h)".to_owned(),
                _ => format!("(i64.const {})", self.number()),
            };
        }
        match self.random.below(8) {
            0 => {
                let extend = self.pick(&["extend_i32_s", "extend_i32_u"]);
                format!("(i64.{extend} {})", self.int(depth - 1, index))
            }
            1 => {
                let unary = self.pick(&[UNARY.as_slice(), &["extend32_s"]].concat());
                format!("(i64.{unary} {})", self.long(depth - 1, index))
            }
            2 => {
                let load = self.pick(&["load", "load8_u", "load16_s", "load32_u", "load32_s"]);
                format!("(i64.{load} offset=1 {})", self.address(depth - 1, index))
            }
            3 => format!(
                "(select {} {} {})",
                self.long(depth - 1, index),
                self.long(depth - 1, index),
                self.int(depth - 1, index)
            ),
            4 if depth == 3 => self.call(1, index),
            _ => {
                let (operation, right) = (self.binary(), self.long(depth - 1, index));
                let right = divisor("i64", operation, &right);
                format!("(i64.{operation} {} {right})", self.long(depth - 1, index))
            }
        }
    }

    fn binary(&mut self) -> &'static str {
        self.pick(&BINARY)
    }

    fn number(&mut self) -> i64 {
        let any = self.random.next_u64() as i64;
        match self.random.below(4) {
            0 => any,
            1 => any >> 56,
            2 => self
                .random
                .pick(&[0, 1, -1, i64::MIN, i64::MAX, 1 << 31, 0xffff])
                .copied()
                .unwrap_or(0),
            _ => any & 0xff,
        }
    }
}

/// A divisor that is zero only where somebody else made it so.
fn divisor(ty: &str, operation: &str, right: &str) -> String {
    if operation.starts_with("div") || operation.starts_with("rem") {
        return format!("({ty}.or {right} ({ty}.const 1))");
    }
    right.to_owned()
}
