//! The kernels natively: a line `kernel rounds` in, a line `result nanoseconds` of processor time out.

use std::io::{BufRead, Write};

use rustix::time::{ClockId, clock_gettime};

fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (kernel, rounds) = line.split_once(' ').unwrap();
        let (kernel, rounds) = (kernel.parse().unwrap(), rounds.parse().unwrap());
        let begun = nanoseconds();
        let result = figures_guest::run(kernel, rounds);
        println!("{result} {}", nanoseconds() - begun);
        std::io::stdout().flush().unwrap();
    }
}
