//! Assertions that are gone or say less. One that can be found elsewhere has moved.

use std::collections::{HashMap, HashSet};

use super::{
    File,
    compare::added,
    facts::{Item, What},
    pairs::{Id, Pairs},
    sign::Sign,
    strength::{Says, Strength},
    words::{common, within},
};
use crate::api::evidence::GamingSignType::{AssertionDeleted, AssertionWeakened};

/// Most assertions that are compared with one.
const MAX_COMPARED: usize = 1000;

/// An assertion of one side: where, and what it says.
#[derive(Clone, Copy)]
struct One<'a> {
    file: usize,
    item: &'a Item,
    says: Says,
    /// The test it is in: of an old one, what has become of it.
    test: Option<Id>,
}

fn says(item: &Item) -> Option<Says> {
    match item.what {
        What::Assertion(says) => Some(says),
        What::Skip
        | What::Left
        | What::Expected
        | What::Caught
        | What::Table(_)
        | What::Row
        | What::Uncollected
        | What::Suppression(_) => None,
    }
}

/// What is still to be explained, and what could explain it.
struct Open<'a> {
    lost: Vec<One<'a>>,
    found: Vec<One<'a>>,
    used: HashSet<usize>,
    by_block: HashMap<(usize, u32), Vec<usize>>,
    by_test: HashMap<Id, Vec<usize>>,
}

/// Signs in all files.
pub(super) fn signs(files: &[File], pairs: &Pairs, signs: &mut Vec<Sign>) {
    let twins = twins(files);
    let mut open = Open::new(files, pairs, &twins);
    for (old, new) in &twins {
        let (before, now) = (&files[old.0].old.items[old.1], &files[new.0].new.items[new.1]);
        if let (Some(before_says), Some(now_says)) = (says(before), says(now)) {
            weaker(files, (before, before_says), (new.0, now, now_says), signs);
        }
    }
    open.leave_to_helpers();
    open.moved(|one| (one.test, one.item.words.same));
    open.moved(|one| (None::<Id>, one.item.words.same));
    open.moved(|one| (one.test.or(Some((one.file, usize::MAX))), one.item.words.shape));
    for alike in [true, false] {
        for (before, now) in open.replaced(alike) {
            // Of something else it may say another kind of thing, but not next to nothing.
            if alike || now.says.strength < Strength::Middle {
                weaker(files, (before.item, before.says), (now.file, now.item, now.says), signs);
            }
        }
    }
    open.empty(files, signs);
    open.covered(files);
    open.cases(files);
    open.elsewhere();
    for one in &open.lost {
        let file = &files[one.file];
        let test = one.item.test.and_then(|test| file.old.tests.get(test));
        let of = test.map_or(String::new(), |test| format!(" of test {}", crate::review::cut(&test.name, 120)));
        signs.push(Sign {
            kind: AssertionDeleted,
            path: file.old_path().to_owned(),
            line: one.item.place.line,
            text: format!("-{}", one.item.place.text),
            message: format!("an assertion{of} is gone, and none has taken its place"),
        });
    }
}

/// Statements of several lines that begin on a line that both sides have: old and new.
fn twins(files: &[File]) -> Vec<(Id, Id)> {
    let mut twins = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let shared = |items: &[Item]| -> HashMap<u32, usize> {
            let asserting = items.iter().enumerate().filter(|(_, item)| says(item).is_some());
            asserting.filter_map(|(index, item)| Some((item.place.twin?, index))).collect()
        };
        let new = shared(&file.new.items);
        for (twin, old) in shared(&file.old.items) {
            if let Some(new) = new.get(&twin) {
                twins.push(((at, old), (at, *new)));
            }
        }
    }
    twins.sort_unstable();
    twins
}

fn weaker(files: &[File], before: (&Item, Says), now: (usize, &Item, Says), signs: &mut Vec<Sign>) {
    let (file, item, now_says) = now;
    if now_says.less_than(before.1) {
        let message = format!("it says less than {}", before.0.place.text);
        signs.push(added(&files[file], AssertionWeakened, item, message));
    }
}

impl<'a> Open<'a> {
    fn new(files: &'a [File], pairs: &Pairs, twins: &[(Id, Id)]) -> Self {
        let (old_twins, new_twins): (HashSet<Id>, HashSet<Id>) = twins.iter().copied().unzip();
        let mut open = Self {
            lost: Vec::new(),
            found: Vec::new(),
            used: HashSet::new(),
            by_block: HashMap::new(),
            by_test: HashMap::new(),
        };
        for (file, both) in files.iter().enumerate() {
            for (index, item) in both.old.items.iter().enumerate().filter(|(_, item)| item.place.changed) {
                // With its test it is gone, which is said once; so are those that always held.
                let gone = item
                    .test
                    .is_some_and(|test| pairs.gone.contains(&(file, test)) || pairs.cases.contains(&(file, test)));
                let Some(says) = says(item).filter(|says| says.strength > Strength::Nothing && !gone) else { continue };
                let test = item.test.map(|test| pairs.now.get(&(file, test)).copied().unwrap_or((usize::MAX, test)));
                if !old_twins.contains(&(file, index)) {
                    open.lost.push(One { file, item, says, test });
                }
            }
            for (index, item) in both.new.items.iter().enumerate().filter(|(_, item)| item.place.changed) {
                let Some(says) = says(item).filter(|_| !new_twins.contains(&(file, index))) else { continue };
                let test = item.test.map(|test| (file, test));
                open.by_block.entry((file, item.place.block)).or_default().push(open.found.len());
                if let Some(test) = test {
                    open.by_test.entry(test).or_default().push(open.found.len());
                }
                open.found.push(One { file, item, says, test });
            }
        }
        open
    }

    /// Those that are the same by this key have moved.
    fn moved<K: std::hash::Hash + Eq>(&mut self, key: impl Fn(&One<'_>) -> K) {
        let mut there: HashMap<K, Vec<usize>> = HashMap::new();
        for (index, one) in self.found.iter().enumerate().rev().filter(|(index, _)| !self.used.contains(index)) {
            there.entry(key(one)).or_default().push(index);
        }
        let used = &mut self.used;
        self.lost.retain(|one| match there.get_mut(&key(one)).and_then(Vec::pop) {
            Some(index) => {
                used.insert(index);
                false
            }
            None => true,
        });
    }

    /// New ones that always hold count for nothing.
    fn empty(&mut self, files: &[File], signs: &mut Vec<Sign>) {
        for (index, one) in self.found.iter().enumerate() {
            if one.says.strength == Strength::Nothing && self.used.insert(index) {
                let message = "it holds whatever the code does".to_owned();
                signs.push(added(&files[one.file], AssertionWeakened, one.item, message));
            }
        }
    }

    /// One that is now in a function that tests call stands for any number of its kind.
    fn leave_to_helpers(&mut self) {
        let helpers = || self.found.iter().filter(|one| one.test.is_none() && one.says.strength > Strength::Nothing);
        let same: HashSet<u64> = helpers().map(|one| one.item.words.same).collect();
        let shapes: HashSet<u64> =
            helpers().filter(|one| one.item.words.anchored).map(|one| one.item.words.shape).collect();
        self.lost.retain(|one| !same.contains(&one.item.words.same) && !shapes.contains(&one.item.words.shape));
    }

    /// Those in the same place or the same test; with `alike` only those that speak of the same.
    fn replaced(&mut self, alike: bool) -> Vec<(One<'a>, One<'a>)> {
        let mut replaced = Vec::new();
        let (found, used, by_block, by_test) = (&self.found, &mut self.used, &self.by_block, &self.by_test);
        self.lost.retain(|one| {
            let in_block = by_block.get(&(one.file, one.item.place.block)).into_iter().flatten();
            let in_test = one.test.and_then(|test| by_test.get(&test)).into_iter().flatten();
            let free = in_block.chain(in_test).take(MAX_COMPARED).filter(|index| !used.contains(*index));
            let rank = |index: &&usize| {
                let other = &found[**index];
                let shared = common(&one.item.words.about, &other.item.words.about);
                let here = other.file == one.file && other.item.place.block == one.item.place.block;
                (shared, !other.says.less_than(one.says), here, std::cmp::Reverse(**index))
            };
            let best = free
                .max_by_key(rank)
                .copied()
                .filter(|index| !alike || common(&one.item.words.about, &found[*index].item.words.about) > 0);
            match best {
                Some(index) => {
                    used.insert(index);
                    replaced.push((*one, found[index]));
                    false
                }
                None => true,
            }
        });
        replaced
    }

    /// Those whose every word is in one assertion of the same test, or among its cases.
    fn covered(&mut self, files: &[File]) {
        let (found, by_test, by_block) = (&self.found, &self.by_test, &self.by_block);
        self.lost.retain(|one| {
            let about = &one.item.words.about;
            let in_test = one.test.and_then(|test| by_test.get(&test)).into_iter().flatten();
            let in_block = by_block.get(&(one.file, one.item.place.block)).into_iter().flatten();
            let mut near = in_test.chain(in_block).take(MAX_COMPARED).map(|index| &found[*index]);
            let whole = near.any(|other| within(about, &other.item.words.about) && !other.says.less_than(one.says));
            let test = one.test.and_then(|test| files.get(test.0)?.new.tests.get(test.1));
            let among_cases =
                test.is_some_and(|test| test.many && within(about, &test.pool) && common(about, &test.about) > 0);
            about.is_empty() || !(whole || among_cases)
        });
    }

    /// Those of a test that has become one of many cases, as far as its cases reach.
    fn cases(&mut self, files: &[File]) {
        let mut room: HashMap<Id, usize> = HashMap::new();
        for one in self.lost.iter().filter_map(|one| Some((one, one.test?))) {
            let (one, test) = one;
            let was_many = one.item.test.is_some_and(|test| files[one.file].old.tests[test].many);
            let Some(file) = files.get(test.0).filter(|_| !was_many) else { continue };
            let rows = file.new.items.iter().filter(|item| item.test == Some(test.1)).map(|item| match item.what {
                What::Table(rows) => usize::try_from(rows).unwrap_or(0),
                What::Row => 1,
                What::Assertion(_)
                | What::Skip
                | What::Left
                | What::Expected
                | What::Caught
                | What::Uncollected
                | What::Suppression(_) => 0,
            });
            let asserted = self.by_test.get(&test).map_or(0, Vec::len);
            room.entry(test).or_insert_with(|| rows.sum::<usize>() * asserted);
        }
        self.lost.retain(|one| match one.test.and_then(|test| room.get_mut(&test)).filter(|room| **room > 0) {
            Some(room) => {
                *room -= 1;
                false
            }
            None => true,
        });
    }

    /// Those that were changed on their way to another test of the same file, or into a helper.
    fn elsewhere(&mut self) {
        let mut there: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, one) in self.found.iter().enumerate().filter(|(index, _)| !self.used.contains(index)) {
            there.entry(one.file).or_default().push(index);
        }
        let (found, used) = (&self.found, &mut self.used);
        self.lost.retain(|one| {
            let about = &one.item.words.about;
            let free =
                there.get(&one.file).into_iter().flatten().take(MAX_COMPARED).filter(|index| !used.contains(*index));
            let close = |index: &&usize| {
                let other = &found[**index];
                let shared = common(about, &other.item.words.about);
                let longer = about.len().max(other.item.words.about.len());
                let helpers = one.test.is_none() && other.test.is_none();
                ((shared > 0 && shared * 2 >= longer) || helpers) && !other.says.less_than(one.says)
            };
            let Some(index) = free.copied().find(|index| close(&index)) else { return true };
            used.insert(index);
            false
        });
    }
}
