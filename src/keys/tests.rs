//! Entries that are taken, entries that are refused and with which words, and whose key is found.

use rstest::rstest;

use super::*;

const KEY: &str = "pgk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn hash(key: &str) -> String {
    hex::encode(digest(key))
}

fn good() -> String {
    format!("- {{name: github, role: ci, sha256: \"{}\", namespaces: [hello, alicia]}}\n", hash(KEY))
}

#[test]
fn a_key_is_found_by_its_hash_and_says_what_it_may() {
    let other = "another-key-of-more-than-thirty-two-characters";
    let all = format!(
        "- {{name: all, role: viewer, sha256: \"{}\", namespaces: all, repositories: [r]}}\n",
        hash(other).to_uppercase()
    );
    let (keys, refused) = Keys::parse(&(good() + &all)).unwrap();
    assert_eq!((keys.len(), refused), (2, Vec::new()));
    let github = keys.find(KEY).unwrap();
    assert_eq!((github.name.as_str(), github.role), ("github", KeyRole::Ci));
    assert!(github.namespaces.has("hello") && !github.namespaces.has("hell") && github.repositories.has("any"));
    let all = keys.find(other).unwrap();
    assert!(all.namespaces.has("any") && all.repositories.has("r") && !all.repositories.has("other"));
    for wrong in [&KEY[1..], &hash(KEY), "", &KEY.to_uppercase()] {
        assert_eq!(keys.find(wrong), None, "{wrong}");
    }
}

#[test]
fn a_key_that_is_too_short_is_none_even_if_its_hash_is_there() {
    let text = good().replace(&hash(KEY), &hash("short"));
    let (keys, _) = Keys::parse(&text).unwrap();
    assert_eq!((keys.len(), keys.find("short")), (1, None));
}

#[rstest]
#[case::no_map("- just-words", "entry 2: it is not a map")]
#[case::an_unknown_field(
    "- {name: b, role: ci, key: SECRET, namespaces: all}",
    "entry 2 (b): it has a field that means nothing"
)]
#[case::no_name("- {role: ci, namespaces: all}", "entry 2: name:")]
#[case::a_name_with_a_line_break("- {name: \"b\\nforged\", role: ci}", "entry 2: name:")]
#[case::no_such_role("- {name: b, role: admin, namespaces: all}", "entry 2 (b): role: viewer, lead, developer or ci")]
#[case::the_key_itself("- {name: b, role: ci, sha256: SECRET, namespaces: all}", "entry 2 (b): sha256: the SHA-256")]
#[case::a_number_as_hash("- {name: b, role: ci, sha256: 1234, namespaces: all}", "entry 2 (b): sha256:")]
#[case::no_namespaces("- {name: b, role: ci, sha256: HASH}", "entry 2 (b): namespaces: list them")]
#[case::an_empty_list(
    "- {name: b, role: ci, sha256: HASH, namespaces: []}",
    "entry 2 (b): namespaces: `all`, or a list"
)]
#[case::a_word_that_is_no_list(
    "- {name: b, role: ci, sha256: HASH, namespaces: hello}",
    "entry 2 (b): namespaces: `all`, or a list"
)]
#[case::no_name_of_a_namespace("- {name: b, role: ci, sha256: HASH, namespaces: [Hello]}", "entry 2 (b): namespaces:")]
#[case::no_repositories(
    "- {name: b, role: ci, sha256: HASH, namespaces: all, repositories: 7}",
    "entry 2 (b): repositories:"
)]
#[case::the_same_name(
    "- {name: github, role: ci, sha256: HASH, namespaces: all}",
    "entry 2 (github): an entry before it"
)]
#[case::the_same_key("- {name: b, role: ci, sha256: SAME, namespaces: all}", "entry 2 (b): an entry before it")]
fn a_bad_entry_is_refused_by_name_and_the_others_stay(#[case] bad: &str, #[case] words: &str) {
    let secret = "the-secret-that-must-not-be-repeated";
    let bad = bad.replace("SECRET", secret).replace("HASH", &hash("another")).replace("SAME", &hash(KEY));
    let (keys, refused) = Keys::parse(&format!("{}{bad}", good())).unwrap();
    assert_eq!((keys.len(), refused.len()), (1, 1));
    assert!(refused[0].starts_with(words), "{}", refused[0]);
    assert!(!refused[0].contains(secret), "{}", refused[0]);
    assert!(keys.find(KEY).is_some());
}

#[rstest]
#[case::a_map("keys: []")]
#[case::no_yaml("- {name: [the-secret-that-must-not-be-repeated")]
#[case::words("the-secret-that-must-not-be-repeated")]
fn a_file_that_is_no_list_is_refused_without_repeating_it(#[case] text: &str) {
    let why = Keys::parse(text).unwrap_err();
    assert!(why.starts_with("it is not a YAML list") && !why.contains("secret"), "{why}");
}

#[test]
fn an_empty_file_has_no_keys() {
    assert!(Keys::parse("").unwrap().0.is_empty());
    assert!(Keys::parse("[]\n").unwrap().0.is_empty());
}

#[test]
fn a_key_is_never_shown() {
    let (keys, _) = Keys::parse(&good()).unwrap();
    assert!(!format!("{keys:?}").contains(&hash(KEY)));
}
