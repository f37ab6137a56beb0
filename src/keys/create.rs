//! `phasegate keys new`: a new key, shown once, and the entry for the file of hashes.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};

use super::{KeyRole, MAX_NAMES, digest, is_key_name, is_label};

/// Marks a key of this product, for people and for scanners that look for secrets in code.
const PREFIX: &str = "pgk_";

/// Commands about API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key: the entry for keys.yaml goes to standard output, the key itself, once, to standard error.
    New(NewKey),
}

/// Whose key, and what for.
#[derive(Debug, Args)]
pub struct NewKey {
    /// Name of the entry, such as that of the system that will hold the key.
    #[arg(long, value_parser = key_name)]
    name: String,
    /// What it is for.
    #[arg(long, value_enum)]
    role: KeyRole,
    /// Namespace it may speak of. May be repeated.
    #[arg(long = "namespace", short, value_name = "NAME", value_parser = label, required_unless_present = "all_namespaces", conflicts_with = "all_namespaces")]
    namespaces: Vec<String>,
    /// It may speak of every namespace.
    #[arg(long)]
    all_namespaces: bool,
    /// Repository it may speak of; all in its namespaces unless set. May be repeated.
    #[arg(long = "repository", value_name = "NAME", value_parser = label)]
    repositories: Vec<String>,
}

fn key_name(text: &str) -> Result<String, &'static str> {
    if is_key_name(text) { Ok(text.to_owned()) } else { Err("1 to 63 letters, digits, `.`, `_` and `-`") }
}

fn label(text: &str) -> Result<String, &'static str> {
    if is_label(text) { Ok(text.to_owned()) } else { Err("1 to 63 lower-case letters, digits and `-`") }
}

/// A new key and the entry that knows it.
struct Made {
    key: String,
    entry: String,
}

/// Runs one command.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the output of a command line program")]
pub fn run(command: &KeysCommand) {
    let KeysCommand::New(wanted) = command;
    let Made { key, entry } = make(wanted, rand::random());
    print!("{entry}");
    eprintln!("The key, shown this once; only its hash is in the entry:\n\n{key}\n");
    eprintln!("Give it to the outside system as a secret, and put the entry into keys.yaml of the Secret that");
    eprintln!("apiKeys.existingSecret of the chart names.");
}

fn make(wanted: &NewKey, random: [u8; 32]) -> Made {
    let NewKey { name, role, namespaces, all_namespaces, repositories } = wanted;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let names = |names: &[String]| {
        let names: Vec<String> = names.iter().take(MAX_NAMES).map(|name| format!("\"{name}\"")).collect();
        format!("[{}]", names.join(", "))
    };
    let namespaces = if *all_namespaces { "all".to_owned() } else { names(namespaces) };
    let mut entry = format!(
        "- name: \"{name}\"\n  role: {}\n  sha256: \"{}\"\n  namespaces: {namespaces}\n",
        role.word(),
        hex::encode(digest(&key))
    );
    if !repositories.is_empty() {
        let _ = writeln!(entry, "  repositories: {}", names(repositories));
    }
    Made { key, entry }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::{super::Keys, *};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: KeysCommand,
    }

    fn parsed(line: &str) -> Result<NewKey, String> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        let KeysCommand::New(wanted) = line.command;
        Ok(wanted)
    }

    #[rstest]
    #[case::one_namespace("x new --name github --role ci --namespace hello", "hello", "any")]
    #[case::two_and_a_repository("x new --name 7 --role ci -n 7 -n b --repository r", "7", "r")]
    #[case::all("x new --name all --role viewer --all-namespaces", "any", "any")]
    fn the_entry_is_what_the_operator_reads(#[case] line: &str, #[case] namespace: &str, #[case] repository: &str) {
        let (first, second) =
            (make(&parsed(line).unwrap(), [7; 32]), make(&parsed(line).unwrap().renamed("b"), [8; 32]));
        let (keys, refused) = Keys::parse(&(first.entry.clone() + &second.entry)).unwrap();
        assert_eq!((keys.len(), refused), (2, Vec::new()));
        let key = keys.find(&first.key).unwrap();
        assert!(key.namespaces.has(namespace) && key.repositories.has(repository));
        assert!(!first.entry.contains(&first.key));
        assert!(first.key.starts_with("pgk_") && first.key.len() == 47);
        assert_eq!(keys.find(&second.key).unwrap().name, "b");
    }

    impl NewKey {
        fn renamed(self, name: &str) -> Self {
            Self { name: name.to_owned(), ..self }
        }
    }

    #[rstest]
    #[case::no_namespace("x new --name a --role ci", "--namespace")]
    #[case::both("x new --name a --role ci --namespace a --all-namespaces", "cannot be used with")]
    #[case::no_name("x new --role ci --namespace a", "--name")]
    #[case::no_role("x new --name a --namespace a", "--role")]
    #[case::a_name_that_breaks_yaml("x new --name a\"b --role ci --namespace a", "1 to 63 letters")]
    #[case::no_such_role("x new --name a --role root --namespace a", "viewer, lead, developer, ci")]
    #[case::no_namespace_name("x new --name a --role ci --namespace A", "lower-case")]
    fn a_command_that_says_too_little_is_refused(#[case] line: &str, #[case] words: &str) {
        let error = parsed(line).err().unwrap();
        assert!(error.contains(words), "{error}");
    }
}
