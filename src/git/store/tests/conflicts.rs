//! What both sides did to the files that do not merge.

use super::support::*;
use crate::{
    api::conflict::{ConflictFile, SideChange, SideKind},
    git::{names::CommitId, ops::*},
};

async fn conflicts(world: &World, ours: &CommitId, theirs: &CommitId) -> ConflictsAnswer {
    let (ours, theirs) = (ours.clone().into(), theirs.clone().into());
    world.call(Conflicts { ours, theirs, max_files: 100, max_bytes: 1 << 20 }).await
}

fn file<'a>(answer: &'a ConflictsAnswer, path: &str) -> &'a ConflictFile {
    answer.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path} in {answer:?}"))
}

#[tokio::test]
async fn both_sides_of_a_line_are_quoted_as_diffs() {
    let world = World::new().await;
    let start =
        world.commit(&world.head(&branch("main")), "start", &[("f", Some("one\ntwo\nthree\n")), ("ok", Some("1"))]);
    let ours = world.commit(&start, "ours", &[("f", Some("one\nOURS\nthree\n"))]);
    let theirs = world.commit(&start, "theirs", &[("f", Some("one\nTHEIRS\nthree\n")), ("ok", Some("2"))]);
    let answer = conflicts(&world, &ours, &theirs).await;
    assert_eq!((answer.total, &answer.ours, &answer.theirs), (1, &ours, &theirs));
    let ConflictFile { path, message, integrated, other } = &answer.files[0];
    assert_eq!((path.as_str(), message.as_str()), ("f", "CONFLICT (content): Merge conflict in f"));
    assert_eq!(
        (integrated.change, integrated.kind, integrated.truncated),
        (SideChange::Modified, SideKind::Text, false)
    );
    assert_eq!(integrated.diff, "@@ -1,3 +1,3 @@\n one\n-two\n+OURS\n three\n");
    assert_eq!(other.diff, "@@ -1,3 +1,3 @@\n one\n-two\n+THEIRS\n three\n");
}

#[tokio::test]
async fn what_merges_has_no_conflict() {
    let world = World::new().await;
    let start = world.head(&branch("main"));
    let (ours, theirs) =
        (world.commit(&start, "a", &[("a", Some("1"))]), world.commit(&start, "b", &[("b", Some("1"))]));
    let answer = conflicts(&world, &ours, &theirs).await;
    assert_eq!((answer.total, answer.files.len()), (0, 0));
}

#[tokio::test]
async fn sides_that_are_gone_renamed_binary_or_links_are_named_and_not_quoted() {
    let world = World::new().await;
    let start = world.commit(
        &world.head(&branch("main")),
        "start",
        &[("gone", Some("1\n")), ("old", Some("a\nb\nc\nd\n")), ("bytes", Some("\u{1}\0\u{2}"))],
    );
    let ours = world.commit(
        &start,
        "ours",
        &[("gone", None), ("old", None), ("ours", Some("a\nb\nc\nd\n")), ("bytes", Some("o\0")), ("link", Some("x"))],
    );
    let theirs = world.commit(
        &start,
        "theirs",
        &[("gone", Some("2\n")), ("old", None), ("theirs", Some("a\nb\nc\nd\n")), ("bytes", Some("t\0"))],
    );
    let theirs = world.link(&theirs, "link", "gone");
    let answer = conflicts(&world, &ours, &theirs).await;
    let gone = file(&answer, "gone");
    assert!(gone.message.contains("(modify/delete)"), "{gone:?}");
    assert_eq!((gone.integrated.change, gone.integrated.diff.as_str()), (SideChange::Deleted, ""));
    assert_eq!((gone.other.change, gone.other.diff.as_str()), (SideChange::Modified, "@@ -1 +1 @@\n-1\n+2\n"));
    assert_eq!((file(&answer, "bytes").other.kind, file(&answer, "bytes").other.diff.as_str()), (SideKind::Binary, ""));
    assert!(file(&answer, "old").message.contains("(rename/rename)"), "{answer:?}");
    assert_eq!(file(&answer, "ours").integrated.change, SideChange::Added);
    assert_eq!(file(&answer, "ours").other.change, SideChange::Absent);
    let linked = answer.files.iter().find(|file| file.other.kind == SideKind::Link);
    assert!(linked.is_some_and(|file| file.other.diff.is_empty()), "{answer:?}");
}

#[tokio::test]
async fn many_files_and_long_ones_are_cut_and_counted() {
    let world = World::new().await;
    let names: Vec<String> = (10..40).map(|number| format!("f{number}")).collect();
    let all = |text: &'static str| names.iter().map(move |name| (name.as_str(), Some(text))).collect::<Vec<_>>();
    let start = world.head(&branch("main"));
    let long: &'static str = Box::leak("a line of text\n".repeat(1000).into_boxed_str());
    let (ours, theirs) = (world.commit(&start, "o", &all("1")), world.commit(&start, "t", &all(long)));
    let answer = conflicts(&world, &ours, &theirs).await;
    assert_eq!((answer.total, answer.files.len()), (30, 20));
    let other = &answer.files[0].other;
    assert!(other.truncated && other.diff.len() <= 4 << 10 && other.diff.ends_with("+a line of text\n"), "{other:?}");
}

#[tokio::test]
async fn commits_that_share_no_history_conflict_where_both_have_a_file() {
    let world = World::new().await;
    let ours = world.commit(&world.head(&branch("main")), "o", &[("same", Some("1\n"))]);
    let tree =
        world.tree(&world.commit(&world.head(&branch("main")), "t", &[("same", Some("2\n")), ("more", Some("3"))]));
    let stranger = CommitId::new(world.git(&["commit-tree", tree.as_str(), "-m", "stranger"])).unwrap();
    let answer = conflicts(&world, &ours, &stranger).await;
    assert_eq!((answer.total, answer.files[0].other.diff.as_str()), (1, "+2\n"));
}
