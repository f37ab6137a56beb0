//! What the start commit holds.

use std::collections::{HashMap, HashSet};

use super::SnapshotError;
use crate::runner::repository::{PodRepository, START};

/// Most bytes of a listing: a quarter of a million files with long names.
const MAX_LISTING: usize = 128 << 20;
/// Mode of a submodule.
const GITLINK: &str = "160000";

/// The start commit and its files.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) commit: String,
    pub(super) tree: String,
    /// Path to size; links count as files.
    files: HashMap<Vec<u8>, u64>,
    /// Path to the commit of a submodule.
    gitlinks: HashMap<Vec<u8>, String>,
    folders: HashSet<Vec<u8>>,
}

impl Start {
    pub(super) async fn read(repository: &PodRepository) -> Result<Self, SnapshotError> {
        let ids = repository.git(&["rev-parse", START, &format!("{START}^{{tree}}")]).run().await?.text();
        let (commit, tree) = ids.split_once('\n').unwrap_or((&ids, ""));
        let listing = repository.git(&["ls-tree", "-r", "-z", "-l", "--full-tree", START]).limit(MAX_LISTING);
        let listing = listing.run().await?.stdout;
        let mut start = Self {
            commit: commit.to_owned(),
            tree: tree.to_owned(),
            files: HashMap::new(),
            gitlinks: HashMap::new(),
            folders: HashSet::new(),
        };
        for entry in listing.split(|byte| *byte == 0) {
            start.add(entry);
        }
        Ok(start)
    }

    /// `mode type object size<TAB>path`.
    fn add(&mut self, entry: &[u8]) {
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { return };
        let (facts, path) = (String::from_utf8_lossy(&entry[..tab]), &entry[tab + 1..]);
        let facts: Vec<&str> = facts.split_ascii_whitespace().collect();
        let [mode, _, object, size] = facts[..] else { return };
        if mode == GITLINK {
            self.gitlinks.insert(path.to_vec(), object.to_owned());
        } else {
            self.files.insert(path.to_vec(), size.parse().unwrap_or(0));
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        self.folders.extend(slashes.map(|(at, _)| path[..at].to_vec()));
    }

    /// Size of a file; none if there is no such file.
    pub(super) fn size(&self, path: &[u8]) -> Option<u64> {
        self.files.get(path).copied()
    }

    /// Whether there is anything below this folder.
    pub(super) fn has_folder(&self, path: &[u8]) -> bool {
        self.folders.contains(path)
    }

    /// The commit of a submodule.
    pub(super) fn gitlink(&self, path: &[u8]) -> Option<&str> {
        self.gitlinks.get(path).map(String::as_str)
    }
}
