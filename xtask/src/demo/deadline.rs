//! Waiting with an end: nothing in the demo can hang.

use std::io::{self, Read};
use std::process::{Child, ExitStatus};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often something is looked at while waiting: often enough not to be felt.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until `look` finds something, or `limit` has passed. The last look is after the limit, so
/// a machine that was busy all the while still gets its answer seen.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let late = limit <= start.elapsed();
        if let Some(found) = look() {
            return Some(found);
        }
        if late {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What a program printed, read while it runs so that it never waits for a reader.
pub fn read_aside(mut from: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map(|_| bytes)
    })
}

/// Waits for a program to end; `None` when it was still running after `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    until(limit, || child.try_wait().transpose()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn looking_ends_with_an_answer_or_at_the_limit() {
        let mut looks = 0;
        let found = until(Duration::from_secs(60), || {
            looks += 1;
            (looks == 3).then_some("there")
        });
        assert_eq!((found, looks), (Some("there"), 3));
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }

    #[test]
    fn a_program_that_does_not_end_is_noticed() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(wait(&mut child, Duration::ZERO).unwrap().is_none());
        child.kill().unwrap();
        assert!(wait(&mut child, Duration::from_secs(60)).unwrap().is_some());
    }
}
