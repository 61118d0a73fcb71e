//! Rows of figures, and how they are measured: processor time of this thread, the least of many samples,
//! with all that is compared taken in turns.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// How many samples are taken of each; others use the machine too, and the least of them disturbs least.
const SAMPLES: usize = 21;

/// Processor time of this thread, in seconds.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// How long `work` takes, in seconds.
pub fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let begun = now();
    std::hint::black_box(work());
    now() - begun
}

/// How long `work` takes on all threads together, in seconds.
pub fn time_all<T>(work: impl FnOnce() -> T) -> f64 {
    let seconds = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let begun = seconds();
    std::hint::black_box(work());
    seconds() - begun
}

/// The least time of each subject, in turns.
pub fn least(subjects: &mut [&mut dyn FnMut() -> f64]) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; subjects.len()];
    for _ in 0..SAMPLES {
        for (least, subject) in least.iter_mut().zip(subjects.iter_mut()) {
            *least = least.min(subject());
        }
    }
    least
}

/// A figure with a floor of the same run, and how many times that it may be.
pub fn ratio(name: &str, value: f64, unit: &str, floor: f64, goal: f64) -> Value {
    let ratio = value / floor;
    json!({ "name": name, "value": round(value), "unit": unit, "floor": round(floor),
        "ratio": round(ratio), "goal": goal, "met": ratio <= goal })
}

/// A figure that has a goal, and no floor: why.
pub fn bound(name: &str, value: f64, unit: &str, goal: f64, note: &str) -> Value {
    json!({ "name": name, "value": round(value), "unit": unit, "floor": null, "ratio": null,
        "goal": goal, "met": value <= goal, "note": note })
}

/// A figure without a goal.
pub fn plain(name: &str, value: f64, unit: &str, note: &str) -> Value {
    json!({ "name": name, "value": round(value), "unit": unit, "floor": null, "ratio": null,
        "goal": null, "met": null, "note": note })
}

/// A row for a reader.
pub fn line(row: &Value) -> String {
    let number =
        |name: &str| row[name].as_f64().map_or_else(|| "-".to_owned(), |it| it.to_string());
    let met = match row["met"].as_bool() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let (name, unit) = (text("name"), text("unit"));
    let (value, floor, ratio, goal) =
        (number("value"), number("floor"), number("ratio"), number("goal"));
    format!("{name:<36} {value:>12} {unit:<6} {floor:>10} {ratio:>8} {goal:>12}  {met}")
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
