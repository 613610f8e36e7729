//! The schedule of a CronJob: cron's five fields as Kubernetes reads them (github.com/robfig/cron/v3, `ParseStandard`).

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};

/// A schedule that none of this many years meets, such as 30 February, is never due. robfig/cron looks as far.
const YEARS: i16 = 5;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    /// 0 is Sunday.
    weekdays: Field,
}

/// The values that one field allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    /// A bit for each value.
    allowed: u64,
    /// Whether it was written as `*`, so that of the two fields for days only the other one counts.
    any: bool,
}

impl Schedule {
    /// None if it is no such schedule, or one whose times depend on the controller's own start (`@every 1h`).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return None };
        Some(Self {
            minutes: Field::parse(minutes, 0, 59, &[])?,
            hours: Field::parse(hours, 0, 23, &[])?,
            days: Field::parse(days, 1, 31, &[])?,
            months: Field::parse(months, 1, 12, &MONTHS)?,
            weekdays: Field::parse(weekdays, 0, 6, &DAYS)?,
        })
    }

    /// The first time after `after` at which a job is due.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let mut at = local.date().at(local.hour(), local.minute(), 0, 0).checked_add(1.minute()).ok()?;
        let last_year = at.year() + YEARS;
        while at.year() <= last_year {
            at = if !self.months.allows(at.month()) {
                midnight(at.first_of_month().checked_add(1.month()).ok()?)
            } else if !self.allows_day(at) {
                midnight(at).checked_add(1.day()).ok()?
            } else if !self.hours.allows(at.hour()) {
                at.date().at(at.hour(), 0, 0, 0).checked_add(1.hour()).ok()?
            } else if !self.minutes.allows(at.minute()) {
                at.checked_add(1.minute()).ok()?
            } else {
                // An hour that the clocks skip, or pass twice, is due once.
                let due = zone.to_ambiguous_timestamp(at).compatible().ok()?;
                if due > after {
                    return Some(due);
                }
                at.checked_add(SignedDuration::from_mins(1)).ok()?
            };
        }
        None
    }

    /// If both fields for days are restricted, one of them is enough: cron's old rule.
    fn allows_day(&self, at: DateTime) -> bool {
        let (day, weekday) = (self.days.allows(at.day()), self.weekdays.allows(at.weekday().to_sunday_zero_offset()));
        if self.days.any || self.weekdays.any { day && weekday } else { day || weekday }
    }
}

impl Field {
    fn parse(text: &str, first: u8, last: u8, names: &[&str]) -> Option<Self> {
        let mut field = Self { allowed: 0, any: false };
        for part in text.split(',') {
            field.add(part, first, last, names)?;
        }
        Some(field)
    }

    /// `*`, `?`, `5`, `5-9`, each with `/STEP`; `5/10` means from 5 to the end.
    fn add(&mut self, part: &str, first: u8, last: u8, names: &[&str]) -> Option<()> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let value = |text: &str| {
            let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            let named = named.and_then(|at| Some(u8::try_from(at).ok()? + first));
            named.or_else(|| text.parse().ok()).filter(|value| (first..=last).contains(value))
        };
        let (begin, end) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => {
                self.any |= step.is_none_or(|step| step == 1);
                (first, last)
            }
            Some((begin, end)) => (value(begin)?, value(end)?),
            None if step.is_some() => (value(range)?, last),
            None => (value(range)?, value(range)?),
        };
        if begin > end {
            return None;
        }
        for value in (begin..=end).step_by(step.unwrap_or(1).into()) {
            self.allowed |= 1 << value;
        }
        Some(())
    }

    fn allows(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.allowed & (1 << value) != 0)
    }
}

fn midnight(at: DateTime) -> DateTime {
    at.date().at(0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> Option<String> {
        let zone = TimeZone::get(zone).unwrap();
        Schedule::parse(schedule)?.next(after.parse().unwrap(), &zone).map(|at| at.to_string())
    }

    #[test]
    fn the_next_run_is_the_first_minute_that_all_fields_allow() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-11-02T12:00:30Z", "2026-11-02T12:01:00Z"),
            ("0 * * * *", "2026-11-02T12:00:00Z", "2026-11-02T13:00:00Z"),
            ("*/15 * * * *", "2026-11-02T12:46:00Z", "2026-11-02T13:00:00Z"),
            ("5/20 3 * * *", "2026-11-02T03:25:00Z", "2026-11-02T03:45:00Z"),
            ("30 4 1,15 * *", "2026-11-02T00:00:00Z", "2026-11-15T04:30:00Z"),
            ("0 0 * * MON-FRI", "2026-11-06T00:00:00Z", "2026-11-09T00:00:00Z"),
            ("0 0 13 * 5", "2026-11-02T00:00:00Z", "2026-11-06T00:00:00Z"), // a Friday or the 13th
            ("0 0 29 feb *", "2026-11-02T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@daily", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
            ("@weekly", "2026-11-02T00:00:00Z", "2026-11-08T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, after, "UTC").as_deref(), Some(expected), "{schedule}");
        }
    }

    #[test]
    fn the_time_zone_decides_which_hour_it_is() {
        let berlin = |after| next("30 2 * * *", after, "Europe/Berlin");
        assert_eq!(berlin("2026-11-02T00:00:00Z").as_deref(), Some("2026-11-02T01:30:00Z"));
        // The hour that is passed twice, on the last Sunday of October.
        assert_eq!(berlin("2026-10-25T00:00:00Z").as_deref(), Some("2026-10-25T00:30:00Z"));
        assert_eq!(berlin("2026-10-25T00:30:00Z").as_deref(), Some("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn what_is_never_due_or_no_schedule_has_no_next_run() {
        for schedule in
            ["0 0 30 2 *", "@every 1h", "60 * * * *", "* * * *", "* * * * 7", "9-5 * * * *", "*/0 * * * *", "a * * * *"]
        {
            assert_eq!(next(schedule, "2026-11-02T00:00:00Z", "UTC"), None, "{schedule}");
        }
    }
}
