//! Which test became which: by its place, its name, its lines. What has no successor is gone.

use std::collections::{HashMap, HashSet};

use super::{
    File,
    facts::{Facts, Item, Test, What},
    words::{common, within},
};

/// A test: the file, and which of its tests.
pub(super) type Id = (usize, usize);
/// Most tests that are compared with one.
const MAX_COMPARED: usize = 500;

/// Old tests and what became of them.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Old test to new test.
    pub(super) now: HashMap<Id, Id>,
    /// New test to old test.
    pub(super) before: HashMap<Id, Id>,
    /// Old tests without a successor.
    pub(super) gone: HashSet<Id>,
    /// Old tests that are now cases of another.
    pub(super) cases: HashSet<Id>,
}

impl Pairs {
    fn pair(&mut self, old: Id, new: Id) {
        self.now.insert(old, new);
        self.before.insert(new, old);
    }
}

fn old(files: &[File], id: Id) -> &Test {
    &files[id.0].old.tests[id.1]
}

fn new(files: &[File], id: Id) -> &Test {
    &files[id.0].new.tests[id.1]
}

/// Pairs the tests of all files.
pub(super) fn of(files: &[File]) -> Pairs {
    let mut pairs = Pairs::default();
    twins(files, &mut pairs);
    let ids = |facts: fn(&File) -> &Facts, holds: fn(&File) -> bool| {
        let held = files.iter().enumerate().filter(move |(_, file)| holds(file));
        held.flat_map(move |(at, file)| (0..facts(file).tests.len()).map(move |test| (at, test))).collect::<Vec<Id>>()
    };
    let mut lost: Vec<Id> = ids(|file| &file.old, |file| file.old_kind.collected || !file.old_kind.test);
    let mut found: Vec<Id> = ids(|file| &file.new, |file| file.new_kind.collected || !file.new_kind.test);
    lost.retain(|id| !pairs.now.contains_key(id));
    found.retain(|id| !pairs.before.contains_key(id));
    by_name(files, &mut pairs, &mut lost, &mut found);
    by_body(files, &mut pairs, &mut lost, &mut found);
    by_lines(files, &mut pairs, &mut lost, &mut found);
    by_block(files, &mut pairs, &mut lost, &mut found);
    (pairs.cases, pairs.gone) = lost.into_iter().partition(|id| has_cases_elsewhere(files, *id));
    pairs
}

/// Tests that begin on a line that both sides have.
fn twins(files: &[File], pairs: &mut Pairs) {
    for (at, file) in files.iter().enumerate() {
        let shared = |tests: &[Test]| -> HashMap<u32, usize> {
            tests.iter().enumerate().filter_map(|(index, test)| Some((test.place.twin?, index))).collect()
        };
        let new = shared(&file.new.tests);
        for (twin, old) in shared(&file.old.tests) {
            if let Some(new) = new.get(&twin) {
                pairs.pair((at, old), (at, *new));
            }
        }
    }
}

/// The same name: in the same file, else in any.
fn by_name(files: &[File], pairs: &mut Pairs, lost: &mut Vec<Id>, found: &mut Vec<Id>) {
    for anywhere in [false, true] {
        let place = |id: Id| if anywhere { None } else { Some(id.0) };
        let mut named: HashMap<(Option<usize>, &str), Vec<Id>> = HashMap::new();
        for id in found.iter().rev() {
            named.entry((place(*id), new(files, *id).name.as_str())).or_default().push(*id);
        }
        lost.retain(|id| {
            let same = named.get_mut(&(place(*id), old(files, *id).name.as_str())).and_then(Vec::pop);
            if let Some(same) = same {
                pairs.pair(*id, same);
            }
            same.is_none()
        });
        found.retain(|id| !pairs.before.contains_key(id));
    }
}

/// A line that both sides have is in both: only the head is another.
fn by_body(files: &[File], pairs: &mut Pairs, lost: &mut Vec<Id>, found: &mut Vec<Id>) {
    let inner = |id: Id, test: &Test| Some((id.0, test.inner?));
    let there: HashMap<(usize, u32), Id> =
        found.iter().filter_map(|id| Some((inner(*id, new(files, *id))?, *id))).collect();
    lost.retain(|id| match inner(*id, old(files, *id)).and_then(|line| there.get(&line)) {
        Some(successor) => {
            pairs.pair(*id, *successor);
            false
        }
        None => true,
    });
    found.retain(|id| !pairs.before.contains_key(id));
}

/// At least half of the lines: it has another name, perhaps another place.
fn by_lines(files: &[File], pairs: &mut Pairs, lost: &mut Vec<Id>, found: &mut Vec<Id>) {
    let mut having: HashMap<u64, Vec<Id>> = HashMap::new();
    for id in found.iter() {
        let lines: HashSet<u64> = new(files, *id).body.iter().copied().collect();
        for line in lines {
            having.entry(line).or_default().push(*id);
        }
    }
    lost.retain(|id| {
        let lines: HashSet<u64> = old(files, *id).body.iter().copied().collect();
        let mut shared: HashMap<Id, usize> = HashMap::new();
        for line in &lines {
            for candidate in having.get(line).into_iter().flatten().take(MAX_COMPARED) {
                *shared.entry(*candidate).or_default() += 1;
            }
        }
        let free = shared.into_iter().filter(|(candidate, _)| !pairs.before.contains_key(candidate));
        let best = free.max_by_key(|(candidate, count)| (*count, candidate.0 == id.0, std::cmp::Reverse(*candidate)));
        match best.filter(|(_, count)| count * 2 >= lines.len()) {
            Some((successor, _)) => {
                pairs.pair(*id, successor);
                false
            }
            None => true,
        }
    });
    found.retain(|id| !pairs.before.contains_key(id));
}

/// In the same place, and about the same.
fn by_block(files: &[File], pairs: &mut Pairs, lost: &mut Vec<Id>, found: &mut Vec<Id>) {
    let mut there: HashMap<(usize, u32), Vec<Id>> = HashMap::new();
    for id in found.iter() {
        there.entry((id.0, new(files, *id).place.block)).or_default().push(*id);
    }
    lost.retain(|id| {
        let before = old(files, *id);
        let alike = |candidate: &&Id| {
            let now = new(files, **candidate);
            let head_only = before.body.is_empty() && now.body.is_empty();
            let shared = common(&before.about, &now.about);
            !pairs.before.contains_key(*candidate) && (head_only || (shared > 0 && shared * 3 >= before.about.len()))
        };
        let candidates = there.get(&(id.0, before.place.block)).into_iter().flatten().take(MAX_COMPARED);
        let successor = candidates.filter(alike).max_by_key(|candidate| {
            let shared = common(&before.about, &new(files, **candidate).about);
            (shared, std::cmp::Reverse(**candidate))
        });
        let successor = successor.copied();
        if let Some(successor) = successor {
            pairs.pair(*id, successor);
        }
        successor.is_none()
    });
    found.retain(|id| !pairs.before.contains_key(id));
}

/// Whether all that a test asserts is among the cases of a test for many of them, in the same file.
fn has_cases_elsewhere(files: &[File], id: Id) -> bool {
    let file = &files[id.0];
    let mine = |item: &&Item| item.test == Some(id.1) && matches!(item.what, What::Assertion(_));
    let asserted: Vec<&Item> = file.old.items.iter().filter(mine).collect();
    let covers = |test: &Test| {
        // Some of it is new there: a test that was there before covers nothing more than before.
        let is_there =
            |item: &&Item| within(&item.words.about, &test.pool) && common(&item.words.about, &test.about) > 0;
        test.many && asserted.iter().all(is_there)
    };
    !asserted.is_empty() && file.new.tests.iter().any(covers)
}
