//! LCOV tracefiles: a record per file, from `SF:` to `end_of_record`, with a `DA:` per line.
//!
//! A parser of our own: what is read here is four kinds of lines, each bounded, and a file that is cut
//! is no evidence.

use std::io::{BufRead, Read as _};

use super::{
    super::{
        Around, Broken, place,
        place::Place,
        plain,
        source::{Source, unreadable},
    },
    Collector, Measured, ran,
};

/// Longest line, in bytes: names of functions can be long.
const MAX_LINE: u64 = 256 * 1024;

pub(super) fn read(source: &dyn Source, around: &Around<'_>) -> Result<Measured, Broken> {
    let mut bytes = source.open().map_err(unreadable)?;
    let mut records = Records::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut bytes).take(MAX_LINE + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        records.number += 1;
        if u64::try_from(line.len()).unwrap_or(u64::MAX) > MAX_LINE {
            return Err(records.wrong("is longer than 256 KiB"));
        }
        // The file was found to be UTF-8 before.
        let text = String::from_utf8_lossy(&line);
        records.line(text.trim_start_matches('\u{feff}').trim())?;
    }
    if let Some(file) = &records.file {
        return Err(Broken::invalid(format!("the file ends too early: {} has no end_of_record", plain(file, 200))));
    }
    Ok(records.collector.finish(|name| match place::of_path(name, around.root) {
        Place::Inside(path) => Some(path),
        Place::Nowhere | Place::Outside(_) => None,
    }))
}

#[derive(Default)]
struct Records {
    /// Number of the line that is read, from 1.
    number: u64,
    /// The file of the open record.
    file: Option<String>,
    collector: Collector,
}

impl Records {
    fn line(&mut self, line: &str) -> Result<(), Broken> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line == "end_of_record" {
            self.file = None;
            return Ok(());
        }
        let kind = |name: &str| (1..=12).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase());
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| kind(name)) else {
            return Err(self.wrong("is no record"));
        };
        match name {
            "SF" => {
                self.collector.file(value)?;
                self.file = Some(value.to_owned());
                Ok(())
            }
            "DA" => self.data(value),
            _ => Ok(()),
        }
    }

    /// `line,count[,checksum]`.
    fn data(&mut self, value: &str) -> Result<(), Broken> {
        let Some(file) = &self.file else { return Err(self.wrong("is a DA outside of any SF")) };
        let mut parts = value.split(',');
        let line = parts.next().and_then(|line| line.trim().parse::<u32>().ok());
        let Some((line, ran)) = line.zip(parts.next().and_then(ran)) else {
            return Err(self.wrong("is a DA without a line and a count, in whole numbers"));
        };
        self.collector.line(file, line, ran)
    }

    fn wrong(&self, what: &str) -> Broken {
        Broken::invalid(format!("not LCOV: line {} {what}", self.number))
    }
}
