//! What a reviewing agent files and submits (design §7). A finding counts only if its place and quote are at the
//! commit. What is filed is kept on the git volume, out of the agent's reach, so that a companion that starts again
//! knows it.
//!
//! `tools` is what agents call, `file` takes findings, `submit` hands the review in, `source` reads files of the
//! commit, `locate` finds quotes in them.

mod file;
mod locate;
mod source;
mod submit;
pub(in crate::runner) mod tools;

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use crate::api::evidence::Finding;

/// File of the git volume with what was filed.
pub(super) const REVIEW: &str = "review.json";

/// What a reviewer has filed so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filed {
    /// In the order in which they came.
    pub(super) findings: Vec<Finding>,
    /// Whether the review was submitted: nothing is taken any more.
    pub(super) submitted: bool,
}

impl Filed {
    /// What an earlier start of the companion has kept; nothing before the first finding.
    pub(super) fn read(volume: &Path) -> io::Result<Self> {
        match std::fs::read(volume.join(REVIEW)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Keeps it: the file is whole at every moment.
    fn write(&self, volume: &Path) -> io::Result<()> {
        let unfinished = volume.join(format!("{REVIEW}.new"));
        std::fs::write(&unfinished, serde_json::to_vec(self)?)?;
        std::fs::rename(unfinished, volume.join(REVIEW))
    }
}
