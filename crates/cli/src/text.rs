//! The same objects as text for people: short aligned tables.
//!
//! It is made from the JSON, so that nothing that programs are told is kept from people. Ids are
//! cut to eight digits, which is enough to name one again, and what peers chose is made printable.

use std::{fmt, io};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::time;

/// Digits of an id that people see.
const ID_DIGITS: usize = 8;
/// From so many hexadecimal digits on, a text is an id: 128 bits and more.
const ID_DIGITS_MIN: usize = 32;
/// Fields that people copy or compare whole.
const WHOLE: [&str; 3] = ["ticket", "digest", "sha256"];
/// Fields in Unix seconds.
const TIMES: [&str; 1] = ["expires"];
/// Space between columns.
const GAP: &str = "  ";

/// Renders a JSON object as text.
///
/// # Errors
/// If it is not JSON.
pub fn render(json: &str) -> io::Result<String> {
    let shape: Shape = serde_json::from_str(json)?;
    Ok(match shape {
        Shape::Object(fields) => match fields.as_slice() {
            [(name, Shape::List(rows))] => table(name, rows),
            fields => aligned(&pairs(fields)),
        },
        other => other.cell(""),
    })
}

/// A text on one line, without what could control a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// A text of several lines, each as [`printable`] makes it.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn pairs(fields: &[(String, Shape)]) -> Vec<Vec<String>> {
    fields.iter().map(|(name, value)| vec![heading(name), value.cell(name)]).collect()
}

/// A list of objects with a row for each; of anything else, with a line for each.
fn table(name: &str, rows: &[Shape]) -> String {
    if rows.is_empty() {
        return format!("no {}", heading(name));
    }
    let mut lines = Vec::new();
    for row in rows {
        let Shape::Object(fields) = row else {
            lines.push(vec![row.cell(name)]);
            continue;
        };
        if lines.is_empty() {
            lines.push(fields.iter().map(|(name, _)| heading(name).to_uppercase()).collect());
        }
        lines.push(fields.iter().map(|(name, value)| value.cell(name)).collect());
    }
    aligned(&lines)
}

fn heading(name: &str) -> String {
    printable(&name.replace('_', " "))
}

/// Cells below each other begin in the same column.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// JSON whose fields stay in the order in which they were written.
enum Shape {
    Nothing,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Shape {
    /// The value in a cell. `name` is its field's.
    fn cell(&self, name: &str) -> String {
        let cell = match self {
            Self::Nothing => String::new(),
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::Number(number) if TIMES.contains(&name) => time::utc(number),
            Self::Number(number) => number.clone(),
            Self::Text(text) if is_id(text) && !WHOLE.contains(&name) => {
                text.chars().take(ID_DIGITS).collect()
            }
            Self::Text(text) => printable(text),
            Self::List(items) => joined(items.iter().map(|it| it.cell(name)), ", "),
            Self::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, it)| format!("{} {}", heading(name), it.cell(name)));
                joined(fields, "; ")
            }
        };
        if cell.is_empty() { "-".to_owned() } else { cell }
    }
}

fn joined(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

fn is_id(text: &str) -> bool {
    ID_DIGITS_MIN <= text.len() && text.bytes().all(|it| it.is_ascii_hexdigit())
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Shape, E> {
        Ok(Shape::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Shape, E> {
        Ok(Shape::Number(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Shape, E> {
        Ok(Shape::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Shape, E> {
        Ok(Shape::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Shape, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Shape::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[&str]) {
        assert_eq!(render(json).unwrap().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_object_keeps_its_order_and_shortens_ids() {
        let id = "0123456789abcdef".repeat(4);
        check(
            &format!(r#"{{"name":"anna","account_id":"{id}","digest":"{id}","ok":true}}"#),
            &[
                "name        anna",
                "account id  01234567",
                &format!("digest      {id}"),
                "ok          yes",
            ],
        );
    }

    #[test]
    fn a_list_of_objects_is_a_table() {
        check(
            r#"{"devices":[{"name":"anna","manifest":{"counter":["1.0.0","1.1.0"]},"x":null},
                           {"name":"bo","manifest":{},"x":-1}]}"#,
            &[
                "NAME  MANIFEST              X",
                "anna  counter 1.0.0, 1.1.0  -",
                "bo    -                     -1",
            ],
        );
        check(r#"{"devices":[]}"#, &["no devices"]);
        check(r#"{"names":["a","b"]}"#, &["a", "b"]);
    }

    #[test]
    fn times_are_readable() {
        check(
            r#"{"ticket":"t","expires":86400}"#,
            &["ticket   t", "expires  1970-01-02 00:00:00 UTC"],
        );
    }

    /// A peer chooses its name; a terminal must not obey it.
    #[test]
    fn names_cannot_control_a_terminal() {
        check(r#"{"a":"x\u001b[31m\ny","b":1}"#, &["a  x [31m y", "b  1"]);
    }
}
