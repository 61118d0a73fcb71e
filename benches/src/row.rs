//! One figure, in the shape that is published.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub name: Cow<'static, str>,
    /// What came out.
    pub value: f64,
    /// In what.
    pub unit: Cow<'static, str>,
    /// The same for the floor, measured in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// The value by the floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What the value is to be.
    pub goal: f64,
    /// Whether it is.
    pub met: bool,
    /// What the floor is, or why there is none.
    pub note: String,
}

impl Row {
    /// A figure that is to be at least `goal`.
    pub fn at_least(
        name: impl Into<Cow<'static, str>>,
        (value, unit): (f64, &'static str),
        goal: f64,
    ) -> Self {
        Self::new(name.into(), (value, unit), goal, goal <= value)
    }

    /// A figure that is to be at most `goal`.
    pub fn at_most(
        name: impl Into<Cow<'static, str>>,
        (value, unit): (f64, &'static str),
        goal: f64,
    ) -> Self {
        Self::new(name.into(), (value, unit), goal, value <= goal)
    }

    /// A figure whose ratio to a floor is to be at most `goal`.
    pub fn within(
        name: impl Into<Cow<'static, str>>,
        (value, unit): (f64, &'static str),
        floor: f64,
        goal: f64,
    ) -> Self {
        let met = value / floor <= goal;
        Self::new(name.into(), (value, unit), goal, met).floor(floor)
    }

    fn new(
        name: Cow<'static, str>,
        (value, unit): (f64, &'static str),
        goal: f64,
        met: bool,
    ) -> Self {
        let (floor, ratio, note) = (None, None, String::new());
        Self { name, value: rounded(value), unit: unit.into(), floor, ratio, goal, met, note }
    }

    /// Beside this floor.
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(rounded(floor));
        self.ratio = Some(rounded(self.value / floor));
        self
    }

    /// With a note.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// To as many digits as say something.
fn rounded(value: f64) -> f64 {
    let digits = if value < 100.0 { 1000.0 } else { 1.0 };
    (value * digits).round() / digits
}

/// The figures for a reader.
pub fn table(rows: &[Row]) -> String {
    let optional = |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let mut text = format!(
        "{:<26} {:>10} {:<9} {:>10} {:>8} {:>9}  met\n",
        "name", "value", "unit", "floor", "ratio", "goal"
    );
    for it in rows {
        let met = if it.met { "yes" } else { "NO" };
        text.push_str(&format!(
            "{:<26} {:>10} {:<9} {:>10} {:>8} {:>9}  {met}\n",
            it.name,
            it.value,
            it.unit,
            optional(it.floor),
            optional(it.ratio),
            it.goal
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_on_its_side() {
        assert!(
            Row::at_least("a", (2.0, "x"), 2.0).met && !Row::at_least("a", (1.9, "x"), 2.0).met
        );
        assert!(Row::at_most("a", (2.0, "x"), 2.0).met && !Row::at_most("a", (2.1, "x"), 2.0).met);
    }

    #[test]
    fn a_ratio_is_what_counts_beside_a_floor() {
        assert!(Row::within("a", (11.0, "x"), 10.0, 1.1).met);
        assert!(!Row::within("a", (11.2, "x"), 10.0, 1.1).met);
    }

    #[test]
    fn the_published_shape() {
        let row = Row::at_most("step", (31.2, "us"), 33.0).floor(30.0);
        let json = serde_json::to_string(&row).unwrap_or_default();
        let expected = r#"{"name":"step","value":31.2,"unit":"us","floor":30.0,"ratio":1.04,"goal":33.0,"met":true,"note":""}"#;
        assert_eq!(json, expected);
        let without =
            serde_json::to_string(&Row::at_most("a", (1.0, "us"), 2.0)).unwrap_or_default();
        assert!(!without.contains("floor") && !without.contains("ratio"), "{without}");
    }

    #[test]
    fn a_missed_goal_is_seen_in_the_table() {
        assert!(table(&[Row::at_least("a", (1.0, "x"), 2.0)]).ends_with("  NO\n"));
    }
}
