//! PURE. The rail against gaming (design §7, "Gamed"): from the diff of a phase to signs that it weakens what judges it.
//!
//! Tests that are gone or skipped, assertions that are gone or say less, tools that are silenced. Only what a diff shows
//! belongs here: counts of test reports are evidence, and what follows from a sign is the gate's. It looks for what people
//! and agents do, by tables per language, and parses none: when a deletion could as well be a move, it is no sign.
//!
//! The diff is best one with the whole files as context: then it is known which test a line is in, and what is a comment
//! or a text. It is taken in pieces, and what is kept of it is bounded.

mod assertions;
mod compare;
mod diff;
mod facts;
mod lexer;
mod pairs;
mod path;
mod rules;
mod settings;
mod side;
mod sign;
mod statement;
mod strength;
mod suppress;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;

use crate::api::evidence::GamingSignType;
use diff::{Event, Head, Mark, Reader};
use facts::{At, Facts, Place};
use path::Kind;
use side::Side;
use sign::Sign;

pub use sign::{MAX_SIGNS, Signs};

/// Most bytes of one file's diff that are looked at, and of all together.
const MAX_FILE: u64 = 4 << 20;
const MAX_ALL: u64 = 96 << 20;
/// Most files that are looked at.
const MAX_FILES: usize = 20_000;

/// A protected path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The path.
    pub path: String,
    /// What happened to it, as in "it was {what}".
    pub what: &'static str,
}

/// A file that differs, and what its two sides have.
struct File {
    head: Head,
    old_kind: Kind,
    new_kind: Kind,
    old: Facts,
    new: Facts,
    /// Why it could not be looked at, or not at all of it.
    hidden: Option<&'static str>,
    /// What tools are told to look away from, by lines that are gone and lines that are new.
    away: (Vec<Told>, Vec<Told>),
    /// What they are asked for, likewise.
    asked: (Vec<Told>, Vec<Told>),
    /// What must be reached, likewise.
    bars_before: Vec<(u64, Place)>,
    bars_now: Vec<u64>,
}

impl File {
    fn path(&self) -> &str {
        self.head.new.as_deref().or(self.head.old.as_deref()).unwrap_or_default()
    }

    fn old_path(&self) -> &str {
        self.head.old.as_deref().or(self.head.new.as_deref()).unwrap_or_default()
    }

    fn is_deleted(&self) -> bool {
        self.head.new.is_none()
    }

    /// Test runners looked for tests in it, and do not any more.
    fn is_renamed_out(&self) -> bool {
        !self.is_deleted() && self.head.old.is_some() && self.old_kind.named && !self.new_kind.collected
    }

    fn settings(&self) -> bool {
        self.old_kind.settings.is_some() || self.new_kind.settings.is_some()
    }
}

/// What a line of settings tells a tool.
struct Told {
    place: Place,
    words: Vec<String>,
    /// It is about which tests run.
    tests: bool,
}

/// Reads a diff and says which signs are in it.
#[derive(Default)]
pub struct Rail {
    reader: Reader,
    walk: Walk,
}

impl Rail {
    /// The next piece of the diff.
    pub fn push(&mut self, bytes: &[u8]) {
        let walk = &mut self.walk;
        self.reader.push(bytes, &mut |event| walk.take(event));
    }

    /// The signs of the diff and of the protected paths. `accepted` are ids that a person has waived: they are listed
    /// only where there is room beside the others.
    pub fn finish(self, protected: &[Protected], accepted: &HashSet<&str>) -> Signs {
        let Self { reader, mut walk } = self;
        reader.finish(&mut |event| walk.take(event));
        walk.end_file();
        let mut signs = compare::signs(&walk.files);
        signs.extend(protected.iter().map(changed));
        if walk.left_out {
            let message = format!("more than {MAX_FILES} files differ; what is in the others was not looked at");
            let path = String::new();
            signs.push(Sign { kind: GamingSignType::TestSkipped, path, line: 0, text: String::new(), message });
        }
        sign::listed(signs, accepted)
    }
}

fn changed(protected: &Protected) -> Sign {
    Sign {
        kind: GamingSignType::ProtectedPathChanged,
        path: protected.path.clone(),
        line: 0,
        text: String::new(),
        message: format!("a protected path was {}; checks see it as the base has it", protected.what),
    }
}

/// Where in the diff one is.
#[derive(Default)]
struct Walk {
    files: Vec<File>,
    now: Option<Now>,
    bytes: u64,
    left_out: bool,
}

/// The file that is read.
struct Now {
    file: File,
    old: Side,
    new: Side,
    old_settings: Option<settings::Reader>,
    new_settings: Option<settings::Reader>,
    /// Next lines.
    numbers: (u32, u32),
    /// Lines that both sides have, so far.
    shared: u32,
    /// Runs of lines that changed together, so far.
    block: u32,
    in_block: bool,
    bytes: u64,
    /// Something in it is worth reading.
    matters: bool,
}

impl Walk {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::File(head) => self.begin_file(head),
            Event::Hunk(old, new) => {
                if let Some(now) = &mut self.now {
                    now.hunk(old, new);
                }
            }
            Event::Line(mark, text, cut) => {
                let Some(now) = self.now.as_mut().filter(|now| now.matters) else { return };
                let weight = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(1);
                now.bytes = now.bytes.saturating_add(weight);
                self.bytes = self.bytes.saturating_add(weight);
                if self.bytes > MAX_ALL || now.bytes > MAX_FILE {
                    now.number(mark);
                    if mark != Mark::Context {
                        now.file.hidden = Some("its diff, or that of all files, is too long to be looked at");
                    }
                } else {
                    now.line(mark, text, cut);
                }
            }
        }
    }

    fn begin_file(&mut self, head: Head) {
        self.end_file();
        if self.files.len() >= MAX_FILES {
            self.left_out = true;
            return;
        }
        self.now = Some(Now::new(head));
    }

    fn end_file(&mut self) {
        let Some(Now { mut file, old, new, .. }) = self.now.take() else { return };
        (file.old, file.new) = (old.finish(), new.finish());
        if file.old.overflow || file.new.overflow {
            file.hidden = Some("it has more tests and assertions than are looked at");
        }
        self.files.push(file);
    }
}

impl Now {
    fn new(head: Head) -> Self {
        let kind = |path: &Option<String>| path::kind(path.as_deref().unwrap_or_default());
        // Without a file on one side nothing is read there, and the other side's rules apply.
        let old_kind = kind(if head.old.is_some() { &head.old } else { &head.new });
        let new_kind = kind(if head.new.is_some() { &head.new } else { &head.old });
        let hidden = head.binary.then_some("git does not show its content");
        let matters = [old_kind, new_kind].iter().any(Kind::matters);
        let file = File {
            head,
            old_kind,
            new_kind,
            old: Facts::default(),
            new: Facts::default(),
            hidden,
            away: Default::default(),
            asked: Default::default(),
            bars_before: Vec::new(),
            bars_now: Vec::new(),
        };
        Self {
            file,
            old: Side::new(old_kind),
            new: Side::new(new_kind),
            old_settings: old_kind.settings.map(settings::Reader::new),
            new_settings: new_kind.settings.map(settings::Reader::new),
            numbers: (1, 1),
            shared: 0,
            block: 0,
            in_block: false,
            bytes: 0,
            matters,
        }
    }

    fn hunk(&mut self, old: u32, new: u32) {
        if self.numbers != (old, new) {
            self.old.gap();
            self.new.gap();
        }
        self.numbers = (old, new);
        self.in_block = false;
    }

    /// Counts a line on its sides: its number on the side that shows it.
    fn number(&mut self, mark: Mark) -> (u32, u32) {
        let numbers = self.numbers;
        if mark != Mark::Added {
            self.numbers.0 = self.numbers.0.saturating_add(1);
        }
        if mark != Mark::Removed {
            self.numbers.1 = self.numbers.1.saturating_add(1);
        }
        numbers
    }

    fn line(&mut self, mark: Mark, bytes: &[u8], cut: bool) {
        let numbers = self.number(mark);
        if mark == Mark::Context {
            self.shared = self.shared.saturating_add(1);
            self.in_block = false;
        } else if !self.in_block {
            self.block = self.block.saturating_add(1);
            self.in_block = true;
        }
        if mark != Mark::Context && (cut || bytes.contains(&0)) {
            self.file.hidden = Some("it has lines that are too long to be looked at, or no text");
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches('\r');
        let shared = (mark == Mark::Context).then_some(self.shared);
        let at = |number: u32| At { number, shared, block: self.block };
        if mark != Mark::Added {
            self.old.line(text, at(numbers.0));
        }
        if mark != Mark::Removed {
            self.new.line(text, at(numbers.1));
        }
        self.settings(mark, text, numbers);
    }

    fn settings(&mut self, mark: Mark, text: &str, numbers: (u32, u32)) {
        let place = |line: u32| Place {
            line,
            text: statement::text_of(text),
            block: 0,
            twin: None,
            changed: mark != Mark::Context,
        };
        let told = |line: u32, words: Vec<String>, tests: bool| {
            (!words.is_empty()).then(|| Told { place: place(line), words, tests })
        };
        if let Some(reader) = self.old_settings.as_mut().filter(|_| mark != Mark::Added) {
            let setting = reader.line(text);
            if mark == Mark::Removed {
                self.file.away.0.extend(told(numbers.0, setting.away, setting.tests));
                self.file.asked.0.extend(told(numbers.0, setting.asked, setting.tests));
                self.file.bars_before.extend(setting.bar.map(|bar| (bar, place(numbers.0))));
            }
        }
        if let Some(reader) = self.new_settings.as_mut().filter(|_| mark != Mark::Removed) {
            let setting = reader.line(text);
            if mark == Mark::Added {
                self.file.away.1.extend(told(numbers.1, setting.away, setting.tests));
                self.file.asked.1.extend(told(numbers.1, setting.asked, setting.tests));
                self.file.bars_now.extend(setting.bar);
            }
        }
    }
}
