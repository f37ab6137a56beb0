//! The way to an upstream: which Secret opens it, for which host, and what git is told of it.
//!
//! The Secret is mounted into the Sync pod, in its own namespace; the operator never reads it. It has to name its host:
//! whoever may write a Repository could else send somebody's password to a server of their own.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;
use tokio::process::Command;

use crate::{api::repository::Upstream, git::command::bare_command};

/// The protocols that an upstream may speak.
const PROTOCOLS: &str = "http:https:git:ssh";
/// Longest file of a Secret that is read: Kubernetes holds no larger one.
const MAX_FILE: u64 = 1 << 20;

/// Why an upstream cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The address is none.
    #[error("spec.upstream.url {url} names no host: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// The Secret is not there, or says too little.
    #[error("Secret {secret} of spec.upstream.credentialsSecretRef {lacks}")]
    Secret {
        /// Its name.
        secret: String,
        /// What it lacks, with the remedy.
        lacks: String,
    },
    /// A file cannot be read or written.
    #[error("failed to {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// An upstream and what opens it.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    config: Vec<(String, String)>,
    ssh: Option<String>,
}

impl Remote {
    /// Reads the Secret at `mounted`, if the upstream names one; what ssh needs as files goes to `scratch`.
    pub(super) async fn open(upstream: &Upstream, mounted: &Path, scratch: &Path) -> Result<Self, UpstreamError> {
        let url = upstream.url.clone();
        let Some(reference) = &upstream.credentials_secret_ref else {
            return Ok(Self { url, config: Vec::new(), ssh: None });
        };
        let place = Place::of(&url)?;
        let secret = Secret { name: &reference.name, mounted };
        secret.require_host(&place).await?;
        if place.scheme == "ssh" {
            let ssh = Some(secret.ssh(scratch).await?);
            return Ok(Self { url, config: Vec::new(), ssh });
        }
        Ok(Self { config: secret.https(&url).await?, url, ssh: None })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A git command that may speak to it, in the repository at `dir`.
    pub(super) fn command(&self, dir: &Path, config: &[(&str, &str)]) -> Command {
        let own = self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let config: Vec<(&str, &str)> = config.iter().copied().chain(own).collect();
        let mut command = bare_command("git", &config);
        command.env("GIT_DIR", dir).env("GIT_ALLOW_PROTOCOL", PROTOCOLS).current_dir("/");
        if let Some(ssh) = &self.ssh {
            command.env("GIT_SSH_COMMAND", ssh).env("GIT_SSH_VARIANT", "ssh");
        }
        command
    }
}

/// Where an address leads.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    scheme: String,
    host: String,
    /// If it is not the usual one.
    port: Option<u16>,
}

impl Place {
    fn of(url: &str) -> Result<Self, UpstreamError> {
        let bad = |why: String| UpstreamError::Address { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(bad("it must be such as https://git.example.com/team/app.git".to_owned()));
        };
        let usual = match scheme {
            "https" => 443,
            "ssh" => 22,
            _ => return Err(bad(format!("credentials do not go over {scheme}; use https or ssh"))),
        };
        let port = uri.port_u16().filter(|port| *port != usual);
        Ok(Self { scheme: scheme.to_owned(), host: host.to_ascii_lowercase(), port })
    }

    /// As a Secret has to name it.
    fn name(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

/// A Secret as the kubelet mounts it: one file for each key, none at all if it does not exist.
struct Secret<'a> {
    name: &'a str,
    mounted: &'a Path,
}

impl Secret<'_> {
    fn lacks(&self, lacks: String) -> UpstreamError {
        UpstreamError::Secret { secret: self.name.to_owned(), lacks }
    }

    /// What a key holds, without the end of the line; `None` if there is none, or nothing in it.
    async fn get(&self, key: &str) -> Result<Option<String>, UpstreamError> {
        let path = self.mounted.join(key);
        let failed = |source| UpstreamError::File { what: "read", path: path.clone(), source };
        match tokio::fs::metadata(&path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(facts) if facts.len() > MAX_FILE => return Err(self.lacks(format!("has a key {key} that is too long"))),
            Ok(_) => {}
        }
        let text = tokio::fs::read_to_string(&path).await.map_err(failed)?;
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|text| !text.is_empty()))
    }

    async fn require(&self, key: &str, remedy: &str) -> Result<String, UpstreamError> {
        self.get(key).await?.ok_or_else(|| self.lacks(format!("has no key {key}; {remedy}")))
    }

    async fn require_host(&self, place: &Place) -> Result<(), UpstreamError> {
        let name = place.name();
        let remedy = format!("make it with host: {name}, which says where these credentials may go");
        let empty = tokio::fs::read_dir(self.mounted).await.is_err();
        let Some(hosts) = self.get("host").await? else {
            let what = if empty { "does not exist" } else { "does not exist or has no key host" };
            return Err(self.lacks(format!("{what}; {remedy}")));
        };
        if hosts.split_whitespace().any(|host| host.eq_ignore_ascii_case(&name)) {
            return Ok(());
        }
        let named = hosts.split_whitespace().collect::<Vec<_>>().join(", ");
        Err(self.lacks(format!(
            "is for {named}, not for {name} of spec.upstream.url; its credentials go nowhere else: add the host to the Secret, or name another Secret"
        )))
    }

    /// A header for this address alone, in git's environment: on no disk and no command line. Git follows no redirect.
    async fn https(&self, url: &str) -> Result<Vec<(String, String)>, UpstreamError> {
        let authorization = if let Some(token) = self.get("bearerToken").await? {
            format!("Bearer {token}")
        } else {
            let remedy = "an https upstream needs password (or a token in it), or bearerToken";
            let password = self.require("password", remedy).await?;
            let user = self.get("username").await?.unwrap_or_else(|| "git".to_owned());
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        };
        if authorization.chars().any(char::is_control) {
            return Err(self.lacks("has a line break in bearerToken; a token is one line".to_owned()));
        }
        let mut config = vec![(format!("http.{url}.extraHeader"), format!("Authorization: {authorization}"))];
        if self.get("ca.crt").await?.is_some() {
            config.push((format!("http.{url}.sslCAInfo"), self.mounted.join("ca.crt").to_string_lossy().into_owned()));
        }
        Ok(config)
    }

    /// The command line of ssh: this key and these hosts, nothing of the image's or anybody's own, and no question asked.
    async fn ssh(&self, scratch: &Path) -> Result<String, UpstreamError> {
        let key = self.require("ssh-privatekey", "an ssh upstream needs the private key in it").await?;
        let remedy = "an ssh upstream needs the lines of ssh-keyscan in it, checked by you";
        let hosts = self.require("known_hosts", remedy).await?;
        // What is mounted belongs to a group, and ssh takes no key that others may read. It wants the last line ended.
        let (key_file, hosts_file) = (scratch.join("ssh-key"), scratch.join("ssh-hosts"));
        write_private(&key_file, &format!("{key}\n")).await?;
        write_private(&hosts_file, &format!("{hosts}\n")).await?;
        Ok(format!(
            "ssh -F /dev/null -i '{}' -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
             -o StrictHostKeyChecking=yes -o UserKnownHostsFile='{}' -o GlobalKnownHostsFile=/dev/null \
             -o UpdateHostKeys=no -o ForwardAgent=no -o ConnectTimeout=30 -o ServerAliveInterval=30",
            key_file.display(),
            hosts_file.display()
        ))
    }
}

async fn write_private(path: &Path, text: &str) -> Result<(), UpstreamError> {
    use tokio::io::AsyncWriteExt;

    let failed = |source| UpstreamError::File { what: "write", path: path.to_owned(), source };
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).await.map_err(failed)?;
    file.write_all(text.as_bytes()).await.map_err(failed)?;
    file.flush().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https("https://git.example.com/a.git", "https", "git.example.com")]
    #[case::usual_port("https://Git.Example.com:443/a.git", "https", "git.example.com")]
    #[case::another_port("https://git.example.com:8443/a.git", "https", "git.example.com:8443")]
    #[case::ssh_with_user("ssh://git@git.example.com/a.git", "ssh", "git.example.com")]
    #[case::ssh_port("ssh://git@git.example.com:2222/a.git", "ssh", "git.example.com:2222")]
    fn an_address_is_named_by_host_and_port(#[case] url: &str, #[case] scheme: &str, #[case] name: &str) {
        let place = Place::of(url).unwrap();
        assert_eq!((&*place.scheme, &*place.name()), (scheme, name));
    }

    #[rstest]
    #[case::in_the_clear("http://git.example.com/a.git", "do not go over http")]
    #[case::gits_own("git://git.example.com/a.git", "do not go over git")]
    #[case::no_address("/etc/passwd", "it must be such as")]
    #[case::nothing("", "names no host")]
    fn credentials_go_over_https_and_ssh_only(#[case] url: &str, #[case] says: &str) {
        let error = Place::of(url).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    fn secret(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (key, value) in files {
            std::fs::write(folder.path().join(key), value).unwrap();
        }
        folder
    }

    fn upstream(url: &str) -> Upstream {
        serde_json::from_value(serde_json::json!({"url": url, "credentialsSecretRef": {"name": "mirror"}})).unwrap()
    }

    #[rstest]
    #[case::none_at_all("https://h/a.git", &[], "Secret mirror of spec.upstream.credentialsSecretRef does not exist")]
    #[case::no_host("https://h/a.git", &[("password", "p")], "make it with host: h,")]
    #[case::of_another_host("https://h/a.git", &[("host", "evil\nother:22\n"), ("password", "p")], "is for evil, other:22, not for h of")]
    #[case::of_another_port("https://h:8443/a.git", &[("host", "h"), ("password", "p")], "is for h, not for h:8443")]
    #[case::no_password("https://h/a.git", &[("host", "h"), ("password", "\n")], "has no key password")]
    #[case::two_lines("https://h/a.git", &[("host", "h"), ("bearerToken", "a\nb")], "a token is one line")]
    #[case::no_key("ssh://git@h/a.git", &[("host", "h"), ("known_hosts", "h x")], "has no key ssh-privatekey")]
    #[case::no_known_hosts("ssh://git@h/a.git", &[("host", "h"), ("ssh-privatekey", "k")], "has no key known_hosts")]
    #[tokio::test]
    async fn a_secret_that_does_not_do_says_what_it_lacks(
        #[case] url: &str,
        #[case] files: &[(&str, &str)],
        #[case] says: &str,
    ) {
        let (mounted, scratch) = (secret(files), tempfile::tempdir().unwrap());
        let error = Remote::open(&upstream(url), mounted.path(), scratch.path()).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(
            std::fs::read_dir(scratch.path()).unwrap().next().is_none(),
            "nothing is copied before the host is known"
        );
    }

    #[rstest]
    #[case::password(&[("username", "ann"), ("password", "p\n")], "Authorization: Basic YW5uOnA=")]
    #[case::token_without_name(&[("password", "p")], "Authorization: Basic Z2l0OnA=")]
    #[case::bearer(&[("bearerToken", "t\n")], "Authorization: Bearer t")]
    #[tokio::test]
    async fn credentials_are_a_header_for_their_address_alone(#[case] files: &[(&str, &str)], #[case] header: &str) {
        let (mounted, scratch) = (secret(files), tempfile::tempdir().unwrap());
        std::fs::write(mounted.path().join("host"), "h\n").unwrap();
        let remote = Remote::open(&upstream("https://h/a.git"), mounted.path(), scratch.path()).await.unwrap();
        assert_eq!(remote.config, [("http.https://h/a.git.extraHeader".to_owned(), header.to_owned())]);
    }

    #[tokio::test]
    async fn a_key_is_copied_so_that_nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;

        let files = [("host", "h:2222"), ("ssh-privatekey", "key"), ("known_hosts", "[h]:2222 ssh-ed25519 A")];
        let (mounted, scratch) = (secret(&files), tempfile::tempdir().unwrap());
        let remote = Remote::open(&upstream("ssh://git@h:2222/a.git"), mounted.path(), scratch.path()).await.unwrap();
        let key = scratch.path().join("ssh-key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "key\n");
        assert!(remote.ssh.unwrap().contains("StrictHostKeyChecking=yes"));
        assert!(remote.config.is_empty());
    }
}
