//! The file of keys, read again when it has changed: the kubelet renews a mounted Secret in place.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{io::AsyncReadExt, sync::Mutex};
use tracing::{error, info, warn};

use super::Keys;

/// How long what was read is good for: a revoked key must not stay good for long.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// Most bytes of the file, as of a Secret.
const MAX_FILE: u64 = 1 << 20;
const HOW_TO: &str =
    "set apiKeys.existingSecret of the chart to a Secret with a file keys.yaml; see docs/external-checks.md";

/// Keys as the file has them now.
#[derive(Debug)]
pub struct KeyFile {
    path: Option<PathBuf>,
    good_for: Duration,
    last: Mutex<Option<Last>>,
}

/// What was read.
#[derive(Debug)]
struct Last {
    at: Instant,
    content: Content,
    keys: Result<Arc<Keys>, String>,
}

/// What the file held: compared to see whether it changed.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Missing,
    Broken(String),
}

impl KeyFile {
    /// `path` is none if no keys are set up.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, good_for: GOOD_FOR, last: Mutex::default() }
    }

    /// The keys; an error says in words why there are none.
    ///
    /// # Errors
    /// If none are set up, or the file cannot be read or is no list: then no key is good.
    pub async fn keys(&self) -> Result<Arc<Keys>, String> {
        let Some(path) = &self.path else {
            return Err(format!("no API keys are set up here; {HOW_TO}"));
        };
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.at.elapsed() < self.good_for) {
            return last.keys.clone();
        }
        let content = read(path).await;
        let (at, unchanged) = (Instant::now(), last.take().filter(|last| last.content == content));
        let keys = unchanged.map_or_else(|| load(path, &content), |last| last.keys);
        *last = Some(Last { at, content, keys: keys.clone() });
        keys
    }
}

async fn read(path: &Path) -> Content {
    let broken = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound { Content::Missing } else { Content::Broken(error.to_string()) }
    };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) => return broken(error),
    };
    let mut bytes = Vec::new();
    match file.take(MAX_FILE + 1).read_to_end(&mut bytes).await {
        Ok(_) if bytes.len() as u64 > MAX_FILE => Content::Broken("it is larger than 1 MiB".to_owned()),
        Ok(_) => String::from_utf8(bytes).map_or_else(|_| Content::Broken("it is not UTF-8".to_owned()), Content::Text),
        Err(error) => broken(error),
    }
}

/// What the file says, and in the log what is wrong with it.
fn load(path: &Path, content: &Content) -> Result<Arc<Keys>, String> {
    let parsed = match content {
        Content::Text(text) => Keys::parse(text),
        Content::Missing => Err("it is not there".to_owned()),
        Content::Broken(why) => Err(why.clone()),
    };
    match parsed {
        Ok((keys, refused)) => {
            info!(path = %path.display(), keys = keys.len(), "API keys are read");
            for why in refused {
                warn!(path = %path.display(), "an API key is refused: {why}");
            }
            Ok(Arc::new(keys))
        }
        Err(why) => {
            error!(path = %path.display(), "API keys cannot be read, no key is good: {why}");
            Err(format!("the API keys cannot be read: {why}; {HOW_TO}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789012345678901234567890123456789";

    fn entry(name: &str) -> String {
        let hash = hex::encode(super::super::digest(KEY));
        format!("- {{name: {name}, role: ci, sha256: \"{hash}\", namespaces: all}}\n")
    }

    async fn holder(file: &KeyFile) -> Option<String> {
        file.keys().await.unwrap().find(KEY).map(|key| key.name.clone())
    }

    #[tokio::test]
    async fn a_change_of_the_file_is_seen_also_when_the_kubelet_swaps_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("keys.yaml"), folder.path().join("..data"));
        for (generation, name) in [("..1", "first"), ("..2", "second")] {
            std::fs::create_dir(folder.path().join(generation)).unwrap();
            std::fs::write(folder.path().join(generation).join("keys.yaml"), entry(name)).unwrap();
        }
        std::os::unix::fs::symlink("..1", &link).unwrap();
        std::os::unix::fs::symlink("..data/keys.yaml", &path).unwrap();
        let file = KeyFile { good_for: Duration::ZERO, ..KeyFile::new(Some(path)) };
        assert_eq!(holder(&file).await.as_deref(), Some("first"));
        std::os::unix::fs::symlink("..2", folder.path().join("..new")).unwrap();
        std::fs::rename(folder.path().join("..new"), &link).unwrap();
        assert_eq!(holder(&file).await.as_deref(), Some("second"));
    }

    #[tokio::test]
    async fn what_was_read_is_good_for_a_moment_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        std::fs::write(&path, entry("first")).unwrap();
        let mut file = KeyFile { good_for: Duration::from_secs(3600), ..KeyFile::new(Some(path.clone())) };
        assert!(holder(&file).await.is_some());
        std::fs::write(&path, "[]").unwrap();
        assert!(holder(&file).await.is_some(), "not read at every request");
        file.good_for = Duration::ZERO;
        assert!(holder(&file).await.is_none(), "a revoked key is not good");
    }

    #[tokio::test]
    async fn without_a_good_file_no_key_is_good_and_the_words_say_how_to_set_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        let unset = KeyFile::new(None).keys().await.unwrap_err();
        assert!(unset.contains("no API keys are set up") && unset.contains("apiKeys.existingSecret"), "{unset}");
        let file = KeyFile { good_for: Duration::ZERO, ..KeyFile::new(Some(path.clone())) };
        assert!(file.keys().await.unwrap_err().contains("not there"));
        std::fs::write(&path, entry("first")).unwrap();
        assert!(holder(&file).await.is_some());
        std::fs::write(&path, "keys: no list").unwrap();
        assert!(file.keys().await.unwrap_err().contains("not a YAML list"));
        std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
        assert!(file.keys().await.unwrap_err().contains("larger than 1 MiB"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let why = file.keys().await.unwrap_err();
        assert!(why.contains("UTF-8"), "{why}");
    }
}
