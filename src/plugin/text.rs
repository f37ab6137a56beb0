//! Small pieces of text that every command shares.

use std::io::{ErrorKind, Write};

use clap::builder::styling::{AnsiColor, Style};

/// For whom text is rendered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// Whether the reader sees colours.
    pub colour: bool,
    /// Flags that commands must repeat to mean the same cluster and namespace, such as `-n alicia`.
    pub flags: String,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Waits,
    Quiet,
    Strong,
}

impl Look {
    /// The text in the colour of its tone, if the reader sees colours.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Waits => AnsiColor::Yellow.on_default(),
            Tone::Quiet => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// A command line of this plugin that can be copied as it is.
    pub(crate) fn command(&self, words: &str) -> String {
        let gap = if self.flags.is_empty() { "" } else { " " };
        format!("kubectl phasegate {}{gap}{words}", self.flags)
    }
}

/// Text that agents or tools wrote, made harmless for a terminal: no control characters (escape
/// sequences, line breaks) and no marks that turn the direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// The first seven characters of a commit id.
pub(crate) fn short(commit: &str) -> String {
    plain(commit).chars().take(7).collect()
}

/// An age as kubectl prints it: two units at most. Negative ages (clocks differ) are 0s.
pub(crate) fn age(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let two = |n: i64, unit: char, rest: i64, small: char| {
        if rest == 0 { format!("{n}{unit}") } else { format!("{n}{unit}{rest}{small}") }
    };
    match seconds.max(0) {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, 'm', s % MINUTE, 's'),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, 'h', s % HOUR / MINUTE, 'm'),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s => two(s / DAY, 'd', if s < 8 * DAY { s % DAY / HOUR } else { 0 }, 'h'),
    }
}

/// `1 finding`, `2 findings`.
pub(crate) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Writes to standard output. A reader that has gone (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub(crate) fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line to standard error; there is nobody left to tell when that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(-5, "0s")]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(125, "2m5s")]
    #[case(180, "3m")]
    #[case(3600, "60m")]
    #[case(3 * 3600 + 60, "3h1m")]
    #[case(30 * 3600, "30h")]
    #[case(50 * 3600, "2d2h")]
    #[case(20 * 86400 + 3600, "20d")]
    fn an_age_has_two_units_at_most(#[case] seconds: i64, #[case] text: &str) {
        assert_eq!(age(seconds), text);
    }

    #[test]
    fn what_an_agent_wrote_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a [2Jb c d");
        assert_eq!(short("3f2c1ab9"), "3f2c1ab");
        assert_eq!(short(""), "");
    }

    #[test]
    fn colours_are_for_those_who_see_them() {
        assert_eq!(Look::default().paint(Tone::Good, "x"), "x");
        let look = Look { colour: true, ..Look::default() };
        assert!(look.paint(Tone::Good, "x").contains('\u{1b}'));
    }
}
