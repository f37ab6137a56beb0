//! From what both sides have to signs. What moved, was renamed or laid out anew is none.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    File, assertions,
    facts::{Facts, Item, Place, Test, What},
    pairs::{self, Pairs},
    rules::Family,
    sign::Sign,
    words::within,
};
use crate::api::evidence::GamingSignType::{self, AssertionWeakened, FewerTests, SuppressionAdded, TestSkipped};

/// All signs in these files.
pub(super) fn signs(files: &[File]) -> Vec<Sign> {
    let pairs = pairs::of(files);
    let mut signs = Vec::new();
    for (at, file) in files.iter().enumerate() {
        gone_tests(at, file, &pairs, &mut signs);
        gone_groups(at, file, &pairs, &mut signs);
        hidden(file, &mut signs);
        looked_away(files, file, &mut signs);
    }
    fewer_cases(files, &pairs, &mut signs);
    skips(files, &pairs, &mut signs);
    caught(files, &mut signs);
    uncollected(files, &mut signs);
    shadowed(files, &pairs, &mut signs);
    suppressions(files, &mut signs);
    assertions::signs(files, &pairs, &mut signs);
    signs
}

/// A sign on a line of the new side.
pub(super) fn added(file: &File, kind: GamingSignType, item: &Item, message: String) -> Sign {
    let text = format!("+{}", item.place.text);
    Sign { kind, path: file.path().to_owned(), line: item.place.line, text, message }
}

fn removed(file: &File, kind: GamingSignType, line: u32, text: &str, message: String) -> Sign {
    Sign { kind, path: file.old_path().to_owned(), line, text: format!("-{text}"), message }
}

/// Tests without a successor; one sign for all of a file that is gone.
fn gone_tests(at: usize, file: &File, pairs: &Pairs, signs: &mut Vec<Sign>) {
    let gone: Vec<usize> = (0..file.old.tests.len()).filter(|test| pairs.gone.contains(&(at, *test))).collect();
    let whole = |message: String| Sign {
        kind: FewerTests,
        path: file.old_path().to_owned(),
        line: 0,
        text: String::new(),
        message,
    };
    if file.is_renamed_out() {
        return signs.push(whole(format!("it is now {}, where no test runner looks for tests", file.path())));
    }
    let unknown = file.old_kind.collected && file.old_kind.family.rules().is_none();
    if file.is_deleted() && (!gone.is_empty() || unknown) {
        let tests = if gone.is_empty() { String::new() } else { format!(" with {} of its tests", gone.len()) };
        return signs.push(whole(format!("the file is gone{tests}")));
    }
    for test in gone {
        let test = &file.old.tests[test];
        let message = format!("test {} is gone: no other has its name, its place or its lines", short(&test.name));
        signs.push(removed(file, FewerTests, test.place.line, &test.place.text, message));
    }
}

fn short(name: &str) -> String {
    crate::review::cut(name, 120)
}

/// Classes that are no longer looked into, while their tests are still there.
fn gone_groups(at: usize, file: &File, pairs: &Pairs, signs: &mut Vec<Sign>) {
    let kept: HashSet<&str> = file.new.groups.iter().map(|group| group.name.as_str()).collect();
    let twins: HashSet<u32> = file.new.groups.iter().filter_map(|group| group.place.twin).collect();
    let mut in_place: Vec<u32> =
        file.new.groups.iter().filter(|group| group.place.changed).map(|group| group.place.block).collect();
    for (index, group) in file.old.groups.iter().enumerate() {
        let has_twin = group.place.twin.is_some_and(|twin| twins.contains(&twin));
        if has_twin || kept.contains(group.name.as_str()) {
            continue;
        }
        if let Some(renamed) = in_place.iter().position(|block| *block == group.place.block) {
            in_place.remove(renamed);
            continue;
        }
        let tests = file.old.tests.iter().enumerate().filter(|(_, test)| test.group == Some(index));
        let still = |test: &usize| {
            pairs.now.get(&(at, *test)).is_some_and(|now| {
                now.0 == at && file.new.tests[now.1].group.is_none() && file.new.tests[now.1].indent > 0
            })
        };
        let count = tests.map(|(test, _)| test).filter(still).count();
        if count > 0 {
            let message =
                format!("class {} is no longer one that runners look into for its {count} tests", short(&group.name));
            signs.push(removed(file, FewerTests, group.place.line, &group.place.text, message));
        }
    }
}

/// What could not be looked at passes only where nothing judges by it.
fn hidden(file: &File, signs: &mut Vec<Sign>) {
    let Some(why) = file.hidden else { return };
    let (kind, what) = if file.old_kind.test || file.new_kind.test {
        (TestSkipped, "tests were left out or weakened")
    } else if file.settings() {
        (SuppressionAdded, "a tool was silenced")
    } else {
        return;
    };
    let message = format!("{why}, so that nobody can say whether {what}");
    signs.push(Sign { kind, path: file.path().to_owned(), line: 0, text: String::new(), message });
}

/// Settings that make a tool look away, or ask for less.
fn looked_away(files: &[File], file: &File, signs: &mut Vec<Sign>) {
    let kind = |tests: bool| if tests { TestSkipped } else { SuppressionAdded };
    // Settings may move from a file that is gone to another.
    let given = files.iter().filter(|other| std::ptr::eq(*other, file) || other.is_deleted());
    let before: BTreeSet<&String> = given.flat_map(|file| &file.away.0).flat_map(|told| &told.words).collect();
    let taken = || files.iter().filter(|other| std::ptr::eq(*other, file) || file.is_deleted());
    for told in &file.away.1 {
        let new: Vec<&str> = told.words.iter().filter(|word| !before.contains(word)).map(String::as_str).collect();
        if !new.is_empty() {
            let message = format!("a tool is told to look away from {}", short(&new.join(", ")));
            let text = format!("+{}", told.place.text);
            let (path, line) = (file.path().to_owned(), told.place.line);
            signs.push(Sign { kind: kind(told.tests), path, line, text, message });
        }
    }
    let now: BTreeSet<&String> = taken().flat_map(|file| &file.asked.1).flat_map(|told| &told.words).collect();
    // E501 is asked for where E is.
    let still =
        |word: &str| now.iter().any(|asked| asked.eq_ignore_ascii_case("all") || word.starts_with(asked.as_str()));
    for told in &file.asked.0 {
        let gone: Vec<&str> = told.words.iter().map(String::as_str).filter(|word| !still(word)).collect();
        if !gone.is_empty() {
            let message = format!("a tool is no longer asked for {}", short(&gone.join(", ")));
            signs.push(removed(file, kind(told.tests), told.place.line, &told.place.text, message));
        }
    }
    let mut now: Vec<u64> = taken().flat_map(|file| file.bars_now.clone()).collect();
    now.sort_unstable();
    let mut before: Vec<&(u64, Place)> = file.bars_before.iter().collect();
    before.sort_by_key(|(bar, _)| *bar);
    // The highest against the highest, and so on.
    let lowered = before.into_iter().rev().zip(now.into_iter().rev().map(Some).chain(std::iter::repeat(None)));
    if let Some(((_, place), _)) = lowered.into_iter().find(|((bar, _), now)| now.is_none_or(|now| now < *bar)) {
        let message = "less is asked for than before".to_owned();
        signs.push(removed(file, SuppressionAdded, place.line, &place.text, message));
    }
}

/// Cases of a test that is still there.
fn fewer_cases(files: &[File], pairs: &Pairs, signs: &mut Vec<Sign>) {
    let of = |facts: &Facts, test: usize| -> (u32, u32, u32, bool) {
        let mine = facts.items.iter().filter(|item| item.test == Some(test));
        mine.fold((0, 0, 0, true), |(tables, cases, rows, known), item| match item.what {
            What::Table(cases_of_it) => (tables + 1, cases + cases_of_it, rows, known && cases_of_it > 0),
            What::Row => (tables, cases, rows + 1, known),
            What::Assertion(_)
            | What::Skip
            | What::Left
            | What::Expected
            | What::Caught
            | What::Uncollected
            | What::Suppression(_) => (tables, cases, rows, known),
        })
    };
    for (old, new) in &pairs.now {
        let (file, now) = (&files[old.0], &files[new.0]);
        let is_case = |item: &&Item| item.test == Some(old.1) && matches!(item.what, What::Row | What::Table(_));
        let mut cases = file.old.items.iter().filter(is_case);
        let Some(first) = cases.find(|item| item.place.changed).or_else(|| file.old.items.iter().find(is_case)) else {
            continue;
        };
        let (tables, before, rows, known) = of(&file.old, old.1);
        let (tables_now, after, rows_now, known_now) = of(&now.new, new.1);
        let fewer = known && known_now && tables_now > 0 && tables > 0 && after < before;
        let (lost, from, to) = if fewer { (true, before, after) } else { (rows_now < rows, rows, rows_now) };
        if lost {
            let test = &file.old.tests[old.1];
            let message = format!("test {} has {to} instead of {from} of these cases", short(&test.name));
            signs.push(removed(file, FewerTests, first.place.line, &first.place.text, message));
        }
    }
}

/// Skips that were not there before, of the same test.
fn skips(files: &[File], pairs: &Pairs, signs: &mut Vec<Sign>) {
    let mut before: HashMap<(u64, Option<pairs::Id>), usize> = HashMap::new();
    let key = |item: &Item, test: Option<pairs::Id>| (if item.what == What::Left { 0 } else { item.words.same }, test);
    let is_skip = |item: &Item| matches!(item.what, What::Skip | What::Left | What::Expected);
    for (at, file) in files.iter().enumerate() {
        for item in file.old.items.iter().filter(|item| is_skip(item)) {
            // Of the test that it has become.
            let test = item.test.map(|test| pairs.now.get(&(at, test)).copied().unwrap_or((usize::MAX, test)));
            *before.entry(key(item, test)).or_default() += 1;
        }
    }
    for (at, file) in files.iter().enumerate() {
        for item in file.new.items.iter().filter(|item| is_skip(item)) {
            let test = item.test.map(|test| (at, test));
            if let Some(left) = before.get_mut(&key(item, test)).filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            let name = item.test.and_then(|test| file.new.tests.get(test)).map(|test| short(&test.name));
            let which = name.map_or("a test or several".to_owned(), |name| format!("test {name}"));
            let is_new = test.is_some_and(|test| !pairs.before.contains_key(&test));
            let words = match item.what {
                What::Skip => "is left out, or may fail",
                What::Left => "ends before what it asserts",
                // A new test of what must panic is a test like others.
                What::Expected if !is_new && item.test.is_some() => "is now expected to fail",
                What::Expected
                | What::Assertion(_)
                | What::Caught
                | What::Table(_)
                | What::Row
                | What::Uncollected
                | What::Suppression(_) => {
                    continue;
                }
            };
            signs.push(added(file, TestSkipped, item, format!("{which} {words}")));
        }
    }
}

/// Failed assertions that are caught.
fn caught(files: &[File], signs: &mut Vec<Sign>) {
    let is_caught = |item: &&Item| item.what == What::Caught;
    let mut before: Vec<u64> =
        files.iter().flat_map(|file| file.old.items.iter().filter(is_caught)).map(|item| item.words.same).collect();
    for file in files {
        for item in file.new.items.iter().filter(is_caught) {
            if let Some(same) = before.iter().position(|same| *same == item.words.same) {
                before.swap_remove(same);
            } else {
                let message = "what would fail an assertion is caught, or left out".to_owned();
                signs.push(added(file, AssertionWeakened, item, message));
            }
        }
    }
}

/// Classes that runners pass over because of what they have now.
fn uncollected(files: &[File], signs: &mut Vec<Sign>) {
    for file in files {
        let has = |facts: &Facts| facts.items.iter().filter(|item| item.what == What::Uncollected).count();
        if has(&file.new) > has(&file.old) {
            for item in file.new.items.iter().filter(|item| item.what == What::Uncollected) {
                let message = "a class with a constructor is one that runners do not look into".to_owned();
                signs.push(added(file, FewerTests, item, message));
            }
        }
    }
}

/// In Python the later of two tests of one name is the only one that runs.
fn shadowed(files: &[File], pairs: &Pairs, signs: &mut Vec<Sign>) {
    for (at, file) in files.iter().enumerate().filter(|(_, file)| file.new_kind.family == Family::Python) {
        let place = |test: &Test| (test.name.clone(), test.group, test.indent);
        let mut seen: HashMap<_, usize> = HashMap::new();
        for test in &file.new.tests {
            *seen.entry(place(test)).or_default() += 1;
        }
        for (index, test) in file.new.tests.iter().enumerate() {
            let is_new = !pairs.before.contains_key(&(at, index));
            if is_new && seen.get(&place(test)).is_some_and(|count| *count > 1) {
                let message = format!("another test is called {} too, and only one of them runs", short(&test.name));
                let (line, text) = (test.place.line, format!("+{}", test.place.text));
                signs.push(Sign { kind: FewerTests, path: file.path().to_owned(), line, text, message });
            }
        }
    }
}

/// Comments and attributes that silence a tool, and were not there before.
fn suppressions(files: &[File], signs: &mut Vec<Sign>) {
    let mut before: HashMap<u64, Vec<pairs::Id>> = HashMap::new();
    let mut by_block: HashMap<(usize, u32), Vec<usize>> = HashMap::new();
    let mut used: HashSet<pairs::Id> = HashSet::new();
    let is_one = |item: &Item| matches!(item.what, What::Suppression(_));
    for (at, file) in files.iter().enumerate() {
        for (index, item) in file.old.items.iter().enumerate().filter(|(_, item)| is_one(item)) {
            before.entry(item.words.same).or_default().push((at, index));
            by_block.entry((at, item.place.block)).or_default().push(index);
        }
    }
    for (at, file) in files.iter().enumerate() {
        let twins: HashMap<u32, &Item> = file
            .old
            .items
            .iter()
            .filter(|item| is_one(item))
            .filter_map(|item| Some((item.place.twin?, item)))
            .collect();
        for item in file.new.items.iter().filter(|item| is_one(item)) {
            if let Some(twin) = item.place.twin.and_then(|twin| twins.get(&twin)) {
                if !within(&item.words.about, &twin.words.about) {
                    signs.push(added(file, SuppressionAdded, item, "a tool is silenced further".to_owned()));
                }
                continue;
            }
            // The same line, wherever it was.
            let moved = before.get(&item.words.same).into_iter().flatten().find(|id| !used.contains(*id)).copied();
            let kept =
                by_block.get(&(at, item.place.block)).into_iter().flatten().map(|index| (at, *index)).find(|id| {
                    let old = &files[id.0].old.items[id.1];
                    let narrower = old.what == What::Suppression(true) && within(&old.words.about, &item.words.about);
                    !used.contains(id) && (narrower || within(&item.words.about, &old.words.about))
                });
            match moved.or(kept) {
                Some(id) => drop(used.insert(id)),
                None if item.place.changed => {
                    signs.push(added(file, SuppressionAdded, item, "a tool is silenced here".to_owned()));
                }
                None => {}
            }
        }
    }
}
