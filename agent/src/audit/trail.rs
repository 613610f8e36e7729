//! The two files of the trail. Calls block while the disk does.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Record;
use crate::disk::{Disk, HIGHEST_NUMBER};

/// The size at which a file is full. Two of them hold some ten thousand records.
const FULL: usize = 2 * 1024 * 1024;

/// The longest record. What a caller sends is bounded by the largest request; most of it is the reason.
const LONGEST: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Trail {
    disk: Disk,
    current: PathBuf,
    before: PathBuf,
    /// `None` until the files have been looked at.
    end: Option<End>,
}

/// Where the trail goes on.
#[derive(Debug, Clone, Copy)]
struct End {
    seq: u64,
    size: usize,
}

impl Trail {
    pub(super) fn open(disk: Disk, folder: &Path) -> (Self, io::Result<()>) {
        let (current, before) = (folder.join("audit.jsonl"), folder.join("audit.1.jsonl"));
        let mut trail = Self { disk, current, before, end: None };
        let opened = trail.look().map(|end| trail.end = Some(end));
        (trail, opened)
    }

    fn look(&self) -> io::Result<End> {
        let mut text = self.read(&self.current)?;
        let size = text.len();
        if size > 0 && !text.ends_with(b"\n") {
            // The power failed within a record. The next one must not continue its line.
            self.disk.append(&self.current, b"\n", false)?;
        }
        if size == 0 {
            text = self.read(&self.before)?;
        }
        let seq = newest_first(&text).next().map_or(0, |(record, _)| record.seq);
        Ok(End { seq, size })
    }

    /// Appends records, in one write. After an error none of them is there, or a part that is passed over when read.
    pub(super) fn append(&mut self, records: Vec<Record>, durable: bool) -> io::Result<()> {
        let mut end = match self.end {
            Some(end) => end,
            None => self.look()?,
        };
        if end.size >= FULL {
            self.disk.rename(&self.current, &self.before)?;
            end.size = 0;
        }
        let mut text = Vec::new();
        for mut record in records {
            end.seq += 1;
            record.seq = end.seq;
            shorten(&mut record);
            serde_json::to_writer(&mut text, &record)?;
            text.push(b'\n');
        }
        // If this fails, how much was written is unknown: look again before the next.
        self.end = None;
        self.disk.append(&self.current, &text, durable)?;
        end.size += text.len();
        self.end = Some(end);
        Ok(())
    }

    pub(super) fn newest_before(&self, before: u64, limit: usize, bytes: usize) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut left = bytes;
        for path in [&self.current, &self.before] {
            let text = self.read(path)?;
            let wanted = newest_first(&text).filter(|(record, _)| before == 0 || record.seq < before);
            for (record, size) in wanted {
                // At least one, so that the reader gets on.
                if records.len() >= limit || (size > left && !records.is_empty()) {
                    return Ok(records);
                }
                left = left.saturating_sub(size);
                records.push(record);
            }
        }
        Ok(records)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.disk.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }
}

/// The records in a file with their sizes, without lines that the agent did not finish or that are damaged.
fn newest_first(text: &[u8]) -> impl Iterator<Item = (Record, usize)> {
    let lines = text.rsplit(|byte| *byte == b'\n');
    let records = lines.filter_map(|line| Some((serde_json::from_slice::<Record>(line).ok()?, line.len())));
    records.filter(|(record, _)| record.seq <= HIGHEST_NUMBER)
}

/// Cuts what a caller has sent to a length that leaves room for other records.
fn shorten(record: &mut Record) {
    for text in [
        &mut record.reason,
        &mut record.outcome,
        &mut record.requester,
        &mut record.task_id,
        &mut record.unit,
        &mut record.operation_id,
        &mut record.method,
    ] {
        const MOST: usize = LONGEST / 8;
        if text.len() > MOST {
            text.truncate((0..=MOST).rev().find(|length| text.is_char_boundary(*length)).unwrap_or_default());
            text.push('…');
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{audit::Phase, caller::Caller, disk::MemoryDisk};

    fn record(reason: &str) -> Record {
        let caller = Caller::named(["CN=alice"]);
        let address = "192.0.2.1:1".to_owned();
        let record = Record::of(Phase::Received, "a/B", &caller, address, Timestamp::UNIX_EPOCH);
        Record { reason: reason.to_owned(), ..record }
    }

    fn open(disk: &MemoryDisk) -> Trail {
        disk.write(Path::new("/state/x"), "").unwrap();
        let (trail, opened) = Trail::open(Disk::Memory(disk.clone()), Path::new("/state"));
        opened.unwrap();
        trail
    }

    fn reasons(records: &[Record]) -> Vec<(u64, &str)> {
        records.iter().map(|record| (record.seq, record.reason.as_str())).collect()
    }

    #[test]
    fn records_are_numbered_across_restarts_and_a_torn_line_is_passed_over() {
        let disk = MemoryDisk::default();
        open(&disk).append(vec![record("one"), record("two")], true).unwrap();
        let path = Path::new("/state/audit.jsonl");
        let torn = [disk.read(path).unwrap(), b"{\"seq\":3,\"at\"".to_vec()].concat();
        disk.write(path, torn).unwrap();
        let mut trail = open(&disk);
        trail.append(vec![record("three")], true).unwrap();
        assert_eq!(reasons(&trail.newest_before(0, 10, PAGE).unwrap()), [(3, "three"), (2, "two"), (1, "one")]);
    }

    #[test]
    fn a_damaged_line_with_a_number_that_nobody_counts_to_neither_ends_the_trail_nor_takes_its_order_away() {
        let disk = MemoryDisk::default();
        open(&disk).append(vec![record("one")], true).unwrap();
        let path = Path::new("/state/audit.jsonl");
        let damaged =
            String::from_utf8(disk.read(path).unwrap()).unwrap().replace("\"seq\":1", "\"seq\":18446744073709551615");
        disk.write(path, [disk.read(path).unwrap(), damaged.into_bytes()].concat()).unwrap();
        open(&disk).append(vec![record("two")], true).unwrap();
        assert_eq!(reasons(&open(&disk).newest_before(0, 10, PAGE).unwrap()), [(2, "two"), (1, "one")]);
    }

    const PAGE: usize = 1 << 20;

    #[test]
    fn a_full_file_becomes_the_one_before_and_pages_go_through_both() {
        let disk = MemoryDisk::default();
        let mut trail = open(&disk);
        let long = "x".repeat(1500);
        let mut written = 0;
        while trail.read(&trail.before).unwrap().is_empty() {
            trail.append(vec![record(&long)], false).unwrap();
            written += 1;
        }
        assert!(trail.read(&trail.before).unwrap().len() >= FULL);
        let (mut before, mut seen) = (0, Vec::new());
        loop {
            let page = trail.newest_before(before, 100, 64 * 1024).unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() < 60, "a page is bounded by its bytes");
            before = last.seq;
            seen.extend(page.iter().map(|record| record.seq));
        }
        assert_eq!(seen, (1..=written).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn what_a_caller_sends_is_cut_and_one_record_is_always_given() {
        let mut trail = open(&MemoryDisk::default());
        trail.append(vec![record(&"ä".repeat(30_000))], false).unwrap();
        let page = trail.newest_before(0, 10, 1).unwrap();
        assert!(page.len() == 1 && page[0].reason.len() < 3000 && page[0].reason.ends_with('…'));
    }
}
