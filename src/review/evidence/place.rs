//! Where a finding is: a tool's address becomes a path below the work tree, or none.

/// A place in the work tree, or what was said of one outside of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A path below the work tree, without `.` and `..`.
    Inside(String),
    /// No place at all.
    Nowhere,
    /// An address that is not below the work tree.
    Outside(String),
}

/// Longest address that is looked at, in bytes.
const MAX_ADDRESS: usize = 4096;

/// The place of a plain path, absolute or relative to `root`.
pub(super) fn of_path(path: &str, root: &str) -> Place {
    if path.is_empty() || path.len() > MAX_ADDRESS || path.contains(char::is_control) {
        return Place::Nowhere;
    }
    let unix = path.replace('\\', "/");
    let absolute = if unix.starts_with('/') { unix } else { format!("{root}/{unix}") };
    let (Some(place), Some(root)) = (components(&absolute), components(root)) else {
        return Place::Outside(path.to_owned());
    };
    match place.strip_prefix(root.as_slice()) {
        Some([]) => Place::Nowhere,
        Some(below) => Place::Inside(below.join("/")),
        None => Place::Outside(path.to_owned()),
    }
}

/// The place of a URI: `file:` or relative. Other schemes are outside.
pub(super) fn of_uri(uri: &str, root: &str) -> Place {
    match scheme(uri) {
        None => of_path(&decoded(uri), root),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            // file:///path, file://host/path and file:/path.
            let path = rest.strip_prefix("//").map_or(Some(rest), |rest| rest.find('/').map(|at| &rest[at..]));
            path.map_or(Place::Nowhere, |path| of_path(&decoded(path), root))
        }
        Some(_) => Place::Outside(uri.chars().take(MAX_ADDRESS).collect()),
    }
}

/// A URI relative to a base; an absolute one stands alone.
pub(super) fn joined(base: &str, uri: &str) -> String {
    if scheme(uri).is_some() || uri.starts_with('/') {
        return uri.to_owned();
    }
    format!("{}/{uri}", base.strip_suffix('/').unwrap_or(base))
}

fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme.then_some((scheme, rest))
}

/// Components with `.` and `..` resolved; none if they leave the top.
fn components(path: &str) -> Option<Vec<&str>> {
    let mut kept = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                kept.pop()?;
            }
            name => kept.push(name),
        }
    }
    Some(kept)
}

/// Percent-decoded; what is not an escape stays as it is.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(text.len().min(MAX_ADDRESS));
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = digit(tail.first()).zip(digit(tail.get(1))).filter(|_| *first == b'%');
        bytes.push(escape.map_or(*first, |(high, low)| high * 16 + low));
        rest = if escape.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn inside(path: &str) -> Place {
        Place::Inside(path.to_owned())
    }

    #[rstest]
    #[case("src/a.py", inside("src/a.py"))]
    #[case("./src//a.py", inside("src/a.py"))]
    #[case("src/../a.py", inside("a.py"))]
    #[case("../tree/a.py", inside("a.py"))]
    #[case("file:///code/tree/src/a.py", inside("src/a.py"))]
    #[case("file://localhost/code/tree/src/a.py", inside("src/a.py"))]
    #[case("file:/code/tree/a.py", inside("a.py"))]
    #[case("/code/tree/a%20b.py", inside("a b.py"))]
    #[case("src\\a.py", inside("src/a.py"))]
    #[case("100%.py", inside("100%.py"))]
    #[case("a:1.py", inside("a:1.py"))]
    #[case("/code/tree", Place::Nowhere)]
    #[case("", Place::Nowhere)]
    #[case("file:", Place::Nowhere)]
    #[case("%2e%2e/secret", Place::Outside("../secret".to_owned()))]
    #[case("../../../../etc/passwd", Place::Outside("../../../../etc/passwd".to_owned()))]
    #[case("/code/tree2/a.py", Place::Outside("/code/tree2/a.py".to_owned()))]
    #[case("https://example.com/a.py", Place::Outside("https://example.com/a.py".to_owned()))]
    fn an_address_becomes_a_path_below_the_work_tree(#[case] uri: &str, #[case] expected: Place) {
        assert_eq!(of_uri(uri, "/code/tree"), expected);
    }

    #[test]
    fn a_base_joins_relative_addresses_only() {
        assert_eq!(joined("file:///code/tree/", "src/a.py"), "file:///code/tree/src/a.py");
        assert_eq!(joined("file:///code/tree", "/a.py"), "/a.py");
        assert_eq!(joined("file:///code/tree/", "file:///x"), "file:///x");
    }
}
