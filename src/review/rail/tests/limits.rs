//! Too much of anything: what is kept is bounded, what is counted is exact, what cannot be seen is said.

use std::collections::HashSet;

use rstest::rstest;

use super::corpus::{kinds, signs};
use crate::{
    api::evidence::GamingSignType,
    review::rail::{MAX_SIGNS, Protected, Rail},
};

fn new_file(path: &str, lines: &[String]) -> String {
    let body: String = lines.iter().flat_map(|line| ["+", line, "\n"]).collect();
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{} @@\n{body}",
        lines.len()
    )
}

fn numbered(count: usize, line: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(line).collect()
}

#[test]
fn a_flood_is_counted_exactly_and_hides_no_other_kind() {
    let flood = new_file("src/a.py", &numbered(1000, |n| format!("x{n} = {n}  # noqa")));
    let skip = new_file("tests/test_a.py", &["@pytest.mark.skip".to_owned(), "def test_a(): pass".to_owned()]);
    let found = signs(&format!("{flood}{skip}"));
    assert_eq!((found.total, found.truncated, found.signs.len()), (1001, true, MAX_SIGNS));
    assert!(found.signs.iter().any(|sign| sign.kind == GamingSignType::TestSkipped));
    let last = &found.signs.last().unwrap().message;
    assert!(last.contains("901 more signs are not listed"), "{last}");
}

#[test]
fn what_is_waived_gives_way_until_everything_has_been_seen() {
    let flood = new_file("src/a.py", &numbered(150, |n| format!("x{n} = {n}  # noqa")));
    let look = |accepted: &HashSet<&str>| {
        let mut rail = Rail::default();
        rail.push(flood.as_bytes());
        rail.finish(&[], accepted)
    };
    let first = look(&HashSet::new());
    let accepted: HashSet<&str> = first.signs.iter().map(|sign| sign.id.as_str()).collect();
    let second = look(&accepted);
    let new = second.signs.iter().filter(|sign| !accepted.contains(sign.id.as_str())).count();
    assert_eq!((new, second.signs.len()), (50, MAX_SIGNS));
}

#[test]
fn heavy_signs_are_bounded_by_their_bytes() {
    let path = format!("src/{}.py", "ü".repeat(500));
    let flood = new_file(&path, &numbered(200, |n| format!("x{n} = '{}'  # noqa", "\"".repeat(400))));
    let found = signs(&flood);
    assert_eq!(found.total, 200);
    assert!(!found.signs.is_empty() && serde_json::to_vec(&found.signs).unwrap().len() < 110 * 1024);
    for sign in &found.signs {
        assert!(sign.path.chars().count() <= 512 && sign.text.len() <= 300 && sign.message.chars().count() <= 600);
    }
}

#[rstest]
#[case::of_a_test("tests/test_a.py", &["TestSkipped"])]
#[case::of_settings(".eslintrc.json", &["SuppressionAdded"])]
#[case::of_code("src/a.py", &[])]
fn what_cannot_be_seen_is_said_where_it_matters(#[case] path: &str, #[case] want: &[&str]) {
    let long = new_file(path, &["x".repeat(10_000)]);
    let binary =
        format!("diff --git a/{path} b/{path}\nindex 1..2 100644\nBinary files a/{path} and b/{path} differ\n");
    let no_text = new_file(path, &["a\0b".to_owned()]);
    let huge = new_file(path, &numbered(50_000, |n| format!("x{n} = \"{}\"", "y".repeat(100))));
    for diff in [long, binary, no_text, huge] {
        let found = signs(&diff);
        assert_eq!(kinds(&found), want, "{}", &diff[..200.min(diff.len())]);
        assert!(found.signs.iter().all(|sign| sign.message.contains("nobody can say")));
    }
}

#[test]
fn a_protected_path_is_a_sign_whatever_is_in_it() {
    let protected = [
        Protected { path: ".github/ci.yml".to_owned(), what: "removed" },
        Protected { path: "a\u{1b}[2Jb".to_owned(), what: "changed" },
    ];
    let found = Rail::default().finish(&protected, &HashSet::new());
    assert_eq!(kinds(&found), ["ProtectedPathChanged"; 2]);
    assert_eq!(found.signs[0].message, "a protected path was removed; checks see it as the base has it");
    assert!(!found.signs[1].path.contains('\u{1b}'), "what commands a terminal is not shown");
}

#[test]
fn the_size_of_the_pieces_makes_no_difference() {
    let diff: String = super::corpus::gamed().iter().take(20).map(super::corpus::Case::diff).collect();
    let whole = signs(&diff);
    for size in [1, 13, 4096] {
        let mut rail = Rail::default();
        for piece in diff.as_bytes().chunks(size) {
            rail.push(piece);
        }
        assert_eq!(rail.finish(&[], &HashSet::new()), whole, "in pieces of {size}");
    }
}

#[test]
fn deep_brackets_open_texts_and_wild_bytes_end_well() {
    let wild = |seed: usize| {
        let alphabet = [
            "(",
            "[",
            "\"\"\"",
            "'",
            "`",
            "/*",
            "r#\"",
            "assert",
            "def test_",
            "#[test]",
            "\\",
            "ü",
            "\u{feff}",
            " ",
            "{",
            "}",
        ];
        (0..40).map(|n| alphabet[(seed * 31 + n * 7 + seed * n) % alphabet.len()]).collect::<String>()
    };
    for path in [
        "tests/test_a.py",
        "src/a.rs",
        "a.test.js",
        "a_test.go",
        "ATest.java",
        "a_spec.rb",
        "a_test.cpp",
        "ATests.cs",
        "setup.cfg",
    ] {
        let found = signs(&new_file(path, &numbered(300, wild)));
        assert!(found.signs.len() <= MAX_SIGNS, "{path}");
    }
}
