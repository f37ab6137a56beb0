//! One side of a file: its tests, and what of them changed. The lines come one after the other, those that both
//! sides have included, so that it is known which test a line belongs to.
//!
//! Parts of a file end by indentation, as formatters write it; no language is parsed.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    facts::{At, Facts, Group, Item, Place, Test, What},
    lexer::{Lexer, Masked},
    path::Kind,
    rules::{Family, Rules, pattern},
    statement::{self, Form, Open, text_of},
    suppress,
    words::{self, Words},
};

/// Most facts of one side of a file.
const MAX_FACTS: usize = 20_000;
/// Most lines of one test that are kept, and most words.
const MAX_BODY: usize = 400;
const MAX_ABOUT: usize = 512;

/// Asks where the tests run.
static WHERE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\benviron\b|\bgetenv\b|\bprocess\.env\b|\benv::var\b|\bGetenv\b|\bENV\[|\bsys\.(?:platform|version)|\bplatform\.|\bos\.name\b|\bGOOS\b",
    )
});

/// A part of a file that lines of deeper indentation belong to.
#[derive(Debug, Clone, Copy)]
struct Region {
    indent: usize,
    body: Option<usize>,
    test: Option<usize>,
    group: Option<usize>,
    tests_only: bool,
}

/// Attributes and decorators before a function.
#[derive(Debug, Default)]
struct Pending {
    /// The next function is a test, and this says so.
    test: Option<Place>,
    many: bool,
    about: Vec<u64>,
    /// What those of its lines are about that are on this side only.
    changed: Vec<u64>,
    tests_only: bool,
    /// Items that will belong to the next test.
    items: Vec<usize>,
}

impl Pending {
    fn note(&mut self, line: &Line<'_>) {
        let about = words::of(line.bare).about;
        if line.at.shared.is_none() && self.changed.len() < MAX_ABOUT {
            self.changed.extend(&about);
        }
        if self.about.len() < MAX_ABOUT {
            self.about.extend(about);
        }
    }
}

/// Reads one side.
pub(super) struct Side {
    kind: Kind,
    rules: Option<&'static Rules>,
    lexer: Lexer,
    regions: Vec<Region>,
    pending: Pending,
    open: Option<Open>,
    /// A condition on the line before, where it is part of what follows.
    condition: Option<(String, String, At, String)>,
    /// A new condition on the line before: what it is about, and whether it asks where it runs.
    guard: Option<(Vec<u64>, bool)>,
    /// A new handler of any error on the line before.
    handler: Option<Item>,
    facts: Facts,
}

impl Side {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            rules: kind.family.rules().filter(|_| kind.test || kind.family == Family::Rust),
            lexer: Lexer::new(kind.family.lexis()),
            regions: Vec::new(),
            pending: Pending::default(),
            open: None,
            condition: None,
            guard: None,
            handler: None,
            facts: Facts::default(),
        }
    }

    /// Lines were left out.
    pub(super) fn gap(&mut self) {
        self.close();
        self.lexer.reset();
        self.pending = Pending::default();
        self.condition = None;
    }

    /// No more lines.
    pub(super) fn finish(mut self) -> Facts {
        self.close();
        for test in &mut self.facts.tests {
            if !test.many {
                test.pool = Vec::new();
            }
            for about in [&mut test.about, &mut test.pool] {
                about.sort_unstable();
                about.dedup();
            }
        }
        self.facts
    }

    /// The next line.
    pub(super) fn line(&mut self, raw: &str, at: At) {
        let masked = self.lexer.mask(raw);
        if at.shared.is_none() && self.kind.family != Family::Prose {
            self.silenced_in_comment(raw, &masked, at);
        }
        let code = masked.code(raw);
        if code.trim().is_empty() {
            return;
        }
        let bare = masked.bare(raw);
        let line = Line { raw, code: &code, bare: &bare, at };
        if self.continued(&line, masked.continues) || masked.continues {
            self.note_body(&line);
            return;
        }
        self.silenced_in_code(&line);
        if let Some(rules) = self.rules {
            self.structure(rules, &line);
            self.note_body(&line);
            self.content(rules, &line);
        }
    }

    /// Whether the line belongs to a statement that is open.
    fn continued(&mut self, line: &Line<'_>, in_text: bool) -> bool {
        let Some(open) = &mut self.open else { return false };
        let chained = line.code.trim_start().starts_with(['.', '?']) && open.form() == Form::Assertion;
        if !in_text && open.is_complete() && !chained {
            self.close();
            return false;
        }
        open.add(line.code, line.bare, line.at, line.raw);
        let cases = open.form() == Form::Table;
        if open.is_full() {
            self.close();
        }
        if cases && self.test().is_none() {
            self.pending.note(line);
        }
        if cases && self.rules.is_some_and(|rules| rules.skip.is_match(line.code)) {
            self.single(What::Skip, line);
        }
        true
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (what, words, place, test) = open.close();
        // One line that both sides have is no news; of several, one may have changed on the other side.
        if place.changed || place.twin.is_some() {
            self.push(Item { what, words, test, place });
        }
    }

    fn push(&mut self, item: Item) {
        if self.facts.items.len() >= MAX_FACTS {
            self.facts.overflow = true;
            return;
        }
        if item.test.is_none() && matches!(item.what, What::Skip | What::Expected | What::Row | What::Table(_)) {
            self.pending.items.push(self.facts.items.len());
        }
        self.facts.items.push(item);
    }

    /// A fact of one line.
    fn single(&mut self, what: What, line: &Line<'_>) {
        if line.at.shared.is_some() {
            return;
        }
        let words = if what == What::Skip { statement::skip_words(line.code, line.bare) } else { words::of(line.bare) };
        self.push(Item { what, words, test: self.test(), place: line.place() });
    }

    fn silenced_in_comment(&mut self, raw: &str, masked: &Masked, at: At) {
        let comment = masked.comment(raw);
        let place = Place { line: at.number, text: text_of(raw), block: at.block, twin: None, changed: true };
        if self.kind.family == Family::Go && self.kind.test && suppress::constrains_build(&comment) {
            self.push(Item { what: What::Skip, words: words::of(raw), test: None, place: place.clone() });
        }
        let Some(found) = suppress::in_comment(&comment) else { return };
        let about = words::of(comment.get(found.begin..).unwrap_or_default()).about;
        let words = Words { about, ..words::of(raw) };
        self.push(Item { what: What::Suppression(found.wholly), words, test: None, place });
    }

    fn silenced_in_code(&mut self, line: &Line<'_>) {
        if suppress::in_code(self.kind.family, line.code) {
            self.open(Form::Suppression, 0, line);
        }
    }

    /// Begins a statement at this byte of the line; an open one ends.
    fn open(&mut self, form: Form, begin: usize, line: &Line<'_>) {
        self.close();
        let mut open = Open::new(form, self.test());
        if let Some((code, bare, at, raw)) = self.condition.take().filter(|_| form == Form::Assertion) {
            open.prefix(&code, &bare, at, &raw);
        }
        open.begin(line.code, line.bare, begin, line.at, line.raw);
        self.open = Some(open);
    }

    fn test(&self) -> Option<usize> {
        self.regions.iter().rev().find_map(|region| region.test)
    }

    fn in_tests(&self) -> bool {
        self.kind.test || self.regions.iter().any(|region| region.tests_only || region.test.is_some())
    }

    /// Which test a line is in, and which begins with it.
    fn structure(&mut self, rules: &Rules, line: &Line<'_>) {
        self.leave(line);
        let begins_test = rules.attribute.is_match(line.code);
        if begins_test {
            self.pending.test = Some(line.place());
        }
        self.pending.many |= rules.many.is_match(line.code);
        self.pending.tests_only |= rules.tests_only.is_match(line.code);
        if line.is_attribute() {
            self.pending.note(line);
        }
        let name = |found: &regex::Captures<'_>| {
            let part = found.iter().skip(1).flatten().next();
            part.and_then(|part| line.raw.get(part.range())).map(|name| name.trim().replace("DISABLED_", ""))
        };
        // In Python a function of a function is no test, whatever its name.
        let inner =
            self.kind.family == Family::Python && self.regions.last().is_some_and(|region| region.test.is_some());
        if let Some(found) = rules.test.captures(line.code).filter(|_| !inner) {
            self.begin_test(name(&found), None, line);
        } else if let Some(by) = self.pending.test.clone()
            && let Some(found) = rules.function.captures(line.code)
        {
            self.begin_test(name(&found), Some(by), line);
        } else if let Some(found) = rules.group.captures(line.code) {
            self.begin_group(name(&found).unwrap_or_default(), line);
        } else if self.pending.tests_only && !line.is_attribute() {
            if line.code.trim_end().ends_with('{') {
                self.enter(line, None, None, true);
            }
            self.pending = Pending::default();
        } else if !line.is_attribute() {
            self.pending = Pending::default();
        }
    }

    fn leave(&mut self, line: &Line<'_>) {
        let indent = line.indent();
        let begin = line.code.trim_start();
        // Directives of a preprocessor stand at the left whatever they are in.
        if matches!(self.kind.family, Family::C | Family::CSharp) && begin.starts_with('#') {
            return;
        }
        while let Some(region) = self.regions.last_mut() {
            let still_head = indent == region.indent
                && (begin.starts_with(['{', ')']) || begin.starts_with("->") || begin.starts_with("where"));
            if indent > region.indent || still_head {
                if !still_head && region.body.is_none() {
                    region.body = Some(indent);
                }
                return;
            }
            self.regions.pop();
        }
    }

    fn enter(&mut self, line: &Line<'_>, test: Option<usize>, group: Option<usize>, tests_only: bool) {
        self.regions.push(Region { indent: line.indent(), body: None, test, group, tests_only });
    }

    fn begin_test(&mut self, name: Option<String>, by: Option<Place>, line: &Line<'_>) {
        let pending = std::mem::take(&mut self.pending);
        if self.facts.tests.len() >= MAX_FACTS {
            self.facts.overflow = true;
            return;
        }
        let mut place = line.place();
        if let Some(by) = by.filter(|by| by.changed && !place.changed) {
            place = Place { twin: None, ..by };
        }
        let index = self.facts.tests.len();
        for item in pending.items {
            if let Some(item) = self.facts.items.get_mut(item) {
                item.test = Some(index);
            }
        }
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| line.code.trim().to_owned());
        let group = self.regions.iter().rev().find_map(|region| region.group);
        let pool = pending.about;
        let about = pending.changed;
        self.facts.tests.push(Test {
            name,
            place,
            indent: line.indent(),
            group,
            many: pending.many,
            about,
            pool,
            ..Test::default()
        });
        self.enter(line, Some(index), None, false);
    }

    fn begin_group(&mut self, name: String, line: &Line<'_>) {
        self.pending = Pending::default();
        self.facts.groups.push(Group { name, place: line.place() });
        let index = self.facts.groups.len() - 1;
        self.enter(line, None, Some(index), false);
    }

    /// What the lines of a test say: a test that moved is known by them.
    fn note_body(&mut self, line: &Line<'_>) {
        let Some(test) = self.test().and_then(|test| self.facts.tests.get_mut(test)) else { return };
        if test.place.line == line.at.number {
            return;
        }
        test.inner = test.inner.or(line.at.shared);
        let changed = line.at.shared.is_none();
        if !changed && test.pool.len() >= MAX_ABOUT {
            return;
        }
        let words = words::of(line.bare);
        if test.pool.len() < MAX_ABOUT {
            test.pool.extend(&words.about);
        }
        if changed && words.count > 1 && test.body.len() < MAX_BODY {
            test.body.push(words.same);
            test.about.extend(words.about);
            test.about.truncate(MAX_ABOUT);
        }
    }

    /// What the line does.
    fn content(&mut self, rules: &Rules, line: &Line<'_>) {
        let (condition, guard) = (self.condition.take(), self.guard.take());
        // What raises again, or fails, hides nothing.
        if let Some(handler) = self.handler.take().filter(|_| !rules.fails.is_match(line.code)) {
            self.push(handler);
        }
        if !self.in_tests() {
            // An attribute may belong to a test that is still to come.
            if line.is_attribute() && rules.skip.is_match(line.code) {
                self.open(Form::Skip, 0, line);
            } else if line.is_attribute() && rules.expected.is_match(line.code) {
                self.single(What::Expected, line);
            } else if rules.row.is_match(line.code) {
                self.single(What::Row, line);
            }
            return;
        }
        if let Some(test) = self.test().and_then(|test| self.facts.tests.get_mut(test)) {
            test.many |= rules.many.is_match(line.code);
        }
        if rules.skip.is_match(line.code) || rules.skip_text.is_match(line.bare) {
            // A block of code may follow, which is not part of it.
            if line.is_attribute() { self.open(Form::Skip, 0, line) } else { self.single(What::Skip, line) }
        } else if rules.expected.is_match(line.code) {
            self.single(What::Expected, line);
        } else if rules.caught.is_match(line.code) {
            self.single(What::Caught, line);
            if let Some(found) = rules.assertion.find(line.code) {
                self.open(Form::Assertion, found.start(), line);
            }
        } else if rules.row.is_match(line.code) {
            self.single(What::Row, line);
        } else if rules.uncollected.is_match(line.code) && self.in_plain_group() {
            self.single(What::Uncollected, line);
        } else if rules.handler.is_match(line.code) {
            self.note_handler(line);
        } else if let Some(found) = rules.assertion.find(line.code).filter(|_| !rules.declaration.is_match(line.code)) {
            self.condition = condition;
            self.left_before();
            if guard.is_some_and(|(about, _)| !about.is_empty() && about == words::of(line.bare).about) {
                self.single(What::Caught, line);
            }
            self.open(Form::Assertion, found.start(), line);
        } else if rules.condition.is_match(line.code) {
            self.condition = Some((line.code.to_owned(), line.bare.to_owned(), line.at, line.raw.to_owned()));
        } else if rules.leave.is_match(line.code) {
            self.note_leave(line, guard.is_some_and(|(_, asks_where)| asks_where));
        } else if rules.guard.is_match(line.code) && line.at.shared.is_none() {
            self.guard = Some((words::of(line.bare).about, WHERE.is_match(line.code)));
        }
        if let Some(found) = rules.table.find(line.code) {
            self.open(Form::Table, found.end() - 1, line);
        }
    }

    /// An assertion that changed with it may be what it swallows.
    fn note_handler(&mut self, line: &Line<'_>) {
        let swallows = |item: &Item| item.place.block == line.at.block && matches!(item.what, What::Assertion(_));
        if line.at.shared.is_none() && self.facts.items.iter().rev().take(16).any(swallows) {
            let words = words::of(line.bare);
            self.handler = Some(Item { what: What::Caught, words, test: self.test(), place: line.place() });
        }
    }

    /// In a class that pytest looks into only while it makes nothing of its own.
    fn in_plain_group(&self) -> bool {
        let group = self.regions.last().and_then(|region| self.facts.groups.get(region.group?));
        group.is_some_and(|group| !group.name.contains("TestCase"))
    }

    fn note_leave(&mut self, line: &Line<'_>, where_it_runs: bool) {
        let whole = where_it_runs
            || self.regions.last().is_some_and(|region| region.test.is_some() && region.body == Some(line.indent()));
        if let Some(test) = self.test().filter(|_| whole).and_then(|test| self.facts.tests.get_mut(test)) {
            test.left = Some(line.place()).filter(|place| place.changed);
        }
    }

    /// An assertion comes; whether its test was left before.
    fn left_before(&mut self) {
        let Some(index) = self.test() else { return };
        let Some(place) = self.facts.tests.get_mut(index).and_then(|test| test.left.take()) else { return };
        let words = words::of(&place.text);
        self.push(Item { what: What::Left, words, test: Some(index), place });
    }
}

/// A line in its three forms.
struct Line<'a> {
    raw: &'a str,
    code: &'a str,
    bare: &'a str,
    at: At,
}

impl Line<'_> {
    fn indent(&self) -> usize {
        self.raw.len() - self.raw.trim_start().len()
    }

    /// A decorator, annotation or attribute.
    fn is_attribute(&self) -> bool {
        self.code.trim_start().starts_with(['@', '[']) || self.code.trim_start().starts_with("#[")
    }

    fn place(&self) -> Place {
        Place {
            line: self.at.number,
            text: text_of(self.raw),
            block: self.at.block,
            twin: self.at.shared,
            changed: self.at.shared.is_none(),
        }
    }
}
