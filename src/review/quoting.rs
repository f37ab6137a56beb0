//! How git quotes names with odd bytes: like a text of C (git-config(1), `core.quotePath`).

/// What follows a backslash. None if git does not write that.
pub(super) fn escaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(8).and_then(|digit| u8::try_from(digit).ok());
    Some(match rest.next()? {
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        same @ (b'"' | b'\\') => same,
        high @ b'0'..=b'3' => digit(high)? * 64 + digit(rest.next()?)? * 8 + digit(rest.next()?)?,
        _ => return None,
    })
}
