//! What a hostile push brings: trees that harm who checks them out, and packs that harm who unpacks them.

use std::process::Command;

use async_compression::tokio::bufread::ZlibEncoder;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, BufReader};

use super::support::*;

const BRANCH: &str = "refs/heads/feature/phase-1-a";

/// Pushes a tree made of raw entries (mode, name, content); whether it went through, and what git said.
async fn push_tree(entries: &[(&str, &str, &str)]) -> (bool, String) {
    let served = served().await;
    let work = served.work("klein").await;
    let mut listing = Vec::new();
    for (mode, name, content) in entries {
        std::fs::write(work.dir.join("content"), content).unwrap();
        let blob = ok(work.git(&["hash-object", "-w", "content"]).await);
        listing.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        listing.extend_from_slice(&hex::decode(&blob).unwrap());
    }
    std::fs::write(work.dir.join("tree"), listing).unwrap();
    let tree = ok(work.git(&["hash-object", "--literally", "-t", "tree", "-w", "tree"]).await);
    let commit = ok(work.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "hostile"]).await);
    let before = served.refs();
    let (passed, said) = work.push(&format!("{commit}:{BRANCH}")).await;
    assert_eq!(served.refs() == before, !passed);
    served.sound();
    (passed, said)
}

#[rstest]
#[case::dot_git("100644", ".git", "hasDotgit")]
#[case::dot_git_in_capitals("100644", ".GIT", "hasDotgit")]
#[case::dot_git_as_old_windows_calls_it("100644", "git~1", "hasDotgit")]
#[case::dot_git_as_a_mac_reads_it("100644", ".g\u{200c}it", "hasDotgit")]
#[case::dot_git_as_a_link("120000", ".git", "hasDotgit")]
#[case::parent("100644", "..", "hasDotdot")]
#[case::itself("100644", ".", "hasDot")]
#[case::slash("100644", "a/b", "fullPathname")]
#[case::linked_modules("120000", ".gitmodules", "gitmodulesSymlink")]
#[case::linked_modules_in_disguise("120000", "gitmod~1", "gitmodulesSymlink")]
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_could_harm_who_checks_it_out_is_refused(
    #[case] mode: &str,
    #[case] name: &str,
    #[case] rule: &str,
) {
    let (passed, said) = push_tree(&[(mode, name, "x")]).await;
    assert!(!passed && said.contains(rule), "{said}");
}

#[rstest]
#[case::url_as_an_option("[submodule \"a\"]\n\tpath = a\n\turl = -u./x\n", "gitmodulesUrl")]
#[case::path_as_an_option("[submodule \"a\"]\n\tpath = -x\n\turl = https://example.org/a\n", "gitmodulesPath")]
#[case::name_out_of_the_folder(
    "[submodule \"../../x\"]\n\tpath = a\n\turl = https://example.org/a\n",
    "gitmodulesName"
)]
#[case::command(
    "[submodule \"a\"]\n\tpath = a\n\turl = https://example.org/a\n\tupdate = !touch x\n",
    "gitmodulesUpdate"
)]
#[tokio::test(flavor = "multi_thread")]
async fn submodules_that_run_commands_are_refused(#[case] content: &str, #[case] rule: &str) {
    let (passed, said) = push_tree(&[("100644", ".gitmodules", content)]).await;
    assert!(!passed && said.contains(rule), "{said}");
}

#[rstest]
#[case::twice(&[("100644", "a", "1"), ("100644", "a", "2")], "duplicateEntries")]
#[case::unsorted(&[("100644", "b", "1"), ("100644", "a", "2")], "treeNotSorted")]
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_read_in_two_ways_is_refused(#[case] entries: &[(&str, &str, &str)], #[case] rule: &str) {
    let (passed, said) = push_tree(entries).await;
    assert!(!passed && said.contains(rule), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_tree_made_the_same_way_passes() {
    let modules = "[submodule \"a\"]\n\tpath = a\n\turl = https://example.org/a\n";
    let (passed, said) =
        push_tree(&[("100644", ".gitmodules", modules), ("100644", "fine", "x"), ("120000", "link", "/etc/passwd")])
            .await;
    assert!(passed, "{said}");
}

/// The head of a packed object (gitformat-pack): its type in three bits, its size in the other bits.
fn object_head(kind: u8, size: u64) -> Vec<u8> {
    let mut byte = kind << 4 | u8::try_from(size & 15).unwrap();
    let (mut left, mut head) = (size >> 4, Vec::new());
    while left > 0 {
        head.push(byte | 0x80);
        byte = u8::try_from(left & 0x7f).unwrap();
        left >>= 7;
    }
    head.push(byte);
    head
}

/// A size as a delta has it.
fn varint(mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while size >= 0x80 {
        bytes.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    bytes.push(u8::try_from(size).unwrap());
    bytes
}

/// The distance to the base of an `OFS_DELTA`.
fn distance(mut back: usize) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(back & 0x7f).unwrap()];
    while back >> 7 > 0 {
        back = (back >> 7) - 1;
        bytes.insert(0, u8::try_from(back & 0x7f).unwrap() | 0x80);
    }
    bytes
}

async fn zlib(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    ZlibEncoder::new(BufReader::new(content)).read_to_end(&mut packed).await.unwrap();
    packed
}

fn pack_head(objects: u32) -> Vec<u8> {
    [&b"PACK\0\0\0\x02"[..], &objects.to_be_bytes()].concat()
}

fn with_sum(pack: Vec<u8>) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &pack).unwrap();
    let sum = Command::new("sha1sum").arg(file.path()).output().unwrap().stdout;
    [pack, hex::decode(&sum[..40]).unwrap()].concat()
}

/// A chain of deltas from 1 MiB of zeros: each copies the one before it so often (`factors`) that sizes multiply.
async fn delta_chain(factors: &[u64]) -> Vec<u8> {
    const COPY: u64 = 1 << 20;
    let mut size = COPY;
    let mut pack = pack_head(u32::try_from(factors.len() + 1).unwrap());
    let mut base = pack.len();
    pack.extend(object_head(3, size));
    pack.extend(zlib(&vec![0; 1 << 20]).await);
    for factor in factors {
        let mut delta = [varint(size), varint(size * factor)].concat();
        for _ in 0..size / COPY * factor {
            // Copy from offset 0, three bytes of size: 0x100000.
            delta.extend([0x80 | 0x70, 0, 0, 0x10]);
        }
        size *= factor;
        let at = pack.len();
        pack.extend(object_head(6, u64::try_from(delta.len()).unwrap()));
        pack.extend(distance(at - base));
        pack.extend(zlib(&delta).await);
        base = at;
    }
    with_sum(pack)
}

/// Sends a pack by hand, for the branch of task klein; the answer's text.
async fn send(served: &Served, head: &str, pack: Vec<u8>) -> String {
    let line = format!("{} {head} {BRANCH}\0report-status side-band-64k", "0".repeat(40));
    let body = [format!("{:04x}{line}0000", line.len() + 4).into_bytes(), pack].concat();
    let request = http().post(format!("{}/team/hello.git/git-receive-pack", served.url));
    let request = request.basic_auth("klein", Some("pod-klein")).body(body);
    let response = request.header("content-type", "application/x-git-receive-pack-request").send().await.unwrap();
    String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned()
}

async fn base(served: &Served) -> String {
    ok(git(&served.root.join("team/hello.git"), &["rev-parse", "refs/heads/main"]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_deltas_that_unpacks_to_gigabytes_is_refused() {
    let served = served().await;
    let bomb = delta_chain(&[8, 8, 32]).await;
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let before = served.refs();
    let said = send(&served, &base(&served).await, bomb).await;
    assert!(said.contains("over limit") && said.contains("unpack "), "{said}");
    assert_eq!(served.refs(), before);
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_deltas_within_the_limit_passes() {
    let served = served().await;
    let said = send(&served, &base(&served).await, delta_chain(&[8, 2]).await).await;
    assert!(said.contains("unpack ok") && served.refs().contains(BRANCH), "{said}");
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_claims_a_hundred_million_objects_is_refused() {
    let served = served().await;
    let before = served.refs();
    let said = send(&served, &base(&served).await, with_sum(pack_head(100_000_000))).await;
    assert!(said.contains("over limit"), "{said}");
    assert_eq!(served.refs(), before);
    served.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_cut_or_damaged_is_refused_and_leaves_nothing() {
    let served = served().await;
    let (head, before, whole) = (base(&served).await, served.refs(), delta_chain(&[2]).await);
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for pack in [whole[..whole.len() - 30].to_vec(), damaged, b"PACK".to_vec(), Vec::new()] {
        let said = send(&served, &head, pack).await;
        assert!(said.contains("unpack ") && !said.contains("unpack ok"), "{said}");
        assert_eq!(served.refs(), before);
    }
    served.sound();
    assert_eq!(served.unfinished(), 0);
}
