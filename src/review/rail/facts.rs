//! What is found on one side of a file: tests, and what lines of them do.

use super::{strength::Says, words::Words};

/// Where a line is.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Counted from 1.
    pub(super) number: u32,
    /// Number of a line that both sides have, the same on both; none for one that only this side has.
    pub(super) shared: Option<u32>,
    /// Lines that changed together have the same.
    pub(super) block: u32,
}

/// The place of a fact, and the line that shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) text: String,
    pub(super) block: u32,
    /// Both sides have its first line: what it was and what it is are the same thing.
    pub(super) twin: Option<u32>,
    /// Some of its lines are on this side only.
    pub(super) changed: bool,
}

/// What a line, or a statement of several, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Assertion(Says),
    /// A test is left out, or may fail.
    Skip,
    /// A test ends before what it asserts.
    Left,
    /// A test is expected to end badly.
    Expected,
    /// A failed assertion is caught, or what fails it is left out.
    Caught,
    /// A class is not looked into for tests any more.
    Uncollected,
    /// A list of that many cases.
    Table(u32),
    /// One case.
    Row,
    /// A tool is silenced; wholly, if it names no rule.
    Suppression(bool),
}

/// Something that a line does.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) what: What,
    pub(super) words: Words,
    /// Which of the tests it belongs to.
    pub(super) test: Option<usize>,
    pub(super) place: Place,
}

/// A test.
#[derive(Debug, Clone, Default)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) place: Place,
    /// How far it is indented: a method of a class is.
    pub(super) indent: usize,
    /// Class that it is in.
    pub(super) group: Option<usize>,
    /// It stands for many cases.
    pub(super) many: bool,
    /// Its lines that are on this side only.
    pub(super) body: Vec<u64>,
    /// What they are about.
    pub(super) about: Vec<u64>,
    /// What all of its lines are about, if it stands for many cases.
    pub(super) pool: Vec<u64>,
    /// The first of its lines that both sides have.
    pub(super) inner: Option<u32>,
    /// It is left here, if what it asserts comes later.
    pub(super) left: Option<Place>,
}

/// A class that runners look for tests in.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) place: Place,
}

/// What one side of a file has.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) tests: Vec<Test>,
    pub(super) groups: Vec<Group>,
    pub(super) items: Vec<Item>,
    /// There was more than is kept.
    pub(super) overflow: bool,
}
