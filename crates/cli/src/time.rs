//! Unix seconds as people read them.

/// Seconds in a day; Unix time has no leap seconds.
const DAY_SECONDS: u64 = 86_400;
/// Years after this one need more than four digits, and are no time that a person meant.
const YEAR_MAX: u64 = 9999;

/// The time in UTC, or the text as it is if that is not a time in the next millennia.
pub fn utc(unix_seconds: &str) -> String {
    let Ok(seconds) = unix_seconds.parse::<u64>() else { return unix_seconds.to_owned() };
    if YEAR_MAX - 1970 < seconds / (366 * DAY_SECONDS) {
        return unix_seconds.to_owned();
    }
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let rest = seconds % DAY_SECONDS;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a day since 1970-01-01.
fn date(mut day: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while year_days(year) <= day {
        day -= year_days(year);
        year += 1;
    }
    let february = year_days(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

fn year_days(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (seconds, expected) in [
            ("0", "1970-01-01 00:00:00 UTC"),
            ("951782399", "2000-02-28 23:59:59 UTC"),
            ("951782400", "2000-02-29 00:00:00 UTC"),
            ("1709251199", "2024-02-29 23:59:59 UTC"),
            ("1735689599", "2024-12-31 23:59:59 UTC"),
            ("4107542400", "2100-03-01 00:00:00 UTC"),
            ("18446744073709551615", "18446744073709551615"),
            ("-1", "-1"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }
}
