//! Processor time: others may use the machine while something is measured.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of all threads of this program since `begin`, which [`now`] gave.
pub fn since(begin: Duration) -> f64 {
    now().saturating_sub(begin).as_secs_f64()
}

/// The processor time of all threads of this program so far.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The one in the middle; 0 of none.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Rounds of which the median counts.
pub const ROUNDS: usize = 9;

/// Seconds of processor time that one of many calls takes: the median of several rounds.
///
/// # Errors
/// What a call fails with.
pub fn each<E>(calls: u32, mut call: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begin = now();
        for _ in 0..calls {
            call()?;
        }
        rounds.push(since(begin) / f64::from(calls));
    }
    Ok(median(rounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 3.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(Vec::new()).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_failing_call_ends_the_measurement() {
        let mut calls = 0;
        let failed = each(10, || {
            calls += 1;
            if calls < 5 { Ok(()) } else { Err("broken") }
        });
        assert_eq!((failed, calls), (Err("broken"), 5));
    }
}
