//! Decimal numbers in millionths, exactly: no float is on the way.

use crate::review::evidence::plain;

/// Longest number, in characters.
const MAX_NUMBER: usize = 400;
/// Digits that fit: 12 before the point and 6 after it.
const DIGITS: i64 = 18;

/// The number in millionths. What is smaller is cut: `up` says in which direction.
pub(super) fn millionths(text: &str, up: bool) -> Result<i64, String> {
    let Some(Decimal { negative, digits, exponent }) = Decimal::of(text)? else {
        return Err(format!("{:?} is not a number", plain(text, 40)));
    };
    let out = || format!("{} is out of range: at most 12 digits before the point", plain(text, 40));
    // The digits times ten to this are millionths.
    let power = exponent.saturating_add(6);
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    if digits.is_empty() {
        return Ok(0);
    }
    if length.saturating_add(power) > DIGITS {
        return Err(out());
    }
    let whole = usize::try_from(length.saturating_add(power.min(0))).unwrap_or(0);
    let (kept, cut) = digits.split_at(whole.min(digits.len()));
    let zeros = usize::try_from(power.max(0)).unwrap_or(0);
    let mut magnitude: i64 = format!("0{kept}{}", "0".repeat(zeros)).parse().map_err(|_| out())?;
    // Digits that are cut are not all zeros: those at the end are gone.
    if !cut.is_empty() && up != negative {
        magnitude += 1;
    }
    if magnitude >= 10_i64.pow(18) {
        return Err(out());
    }
    Ok(if negative { -magnitude } else { magnitude })
}

/// Whether a text is a number, be it one that cannot be judged.
pub(super) fn is_number(text: &str) -> bool {
    match Decimal::of(text) {
        Ok(decimal) => decimal.is_some(),
        Err(_) => true,
    }
}

/// Digits without zeros at either end, times ten to the exponent.
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// None if it is not a number; an error if it is not a number that can be judged.
    fn of(text: &str) -> Result<Option<Self>, String> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
            return Err(format!("{text} cannot be judged; let the tool measure something, or write no such line"));
        }
        if text.len() > MAX_NUMBER {
            return Ok(None);
        }
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if whole.len() + part.len() == 0
            || !is_digits(whole)
            || !is_digits(part)
            || power.is_empty()
            || !is_digits(power)
        {
            return Ok(None);
        }
        // Beyond any range, whatever the digits.
        let power = power.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
        let power = if exponent.starts_with('-') { -power } else { power };
        let digits = format!("{whole}{part}");
        let short = digits.trim_end_matches('0');
        let zeros = digits.len() - short.len();
        let shift = i64::try_from(zeros).unwrap_or(0) - i64::try_from(part.len()).unwrap_or(0);
        Ok(Some(Self {
            negative: text.starts_with('-'),
            digits: short.trim_start_matches('0').to_owned(),
            exponent: power.saturating_add(shift),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("42", 42_000_000, 42_000_000)]
    #[case::zero("0", 0, 0)]
    #[case::zeros("-000.000e+5", 0, 0)]
    #[case::point("0.05", 50_000, 50_000)]
    #[case::without_a_zero(".5", 500_000, 500_000)]
    #[case::with_a_point_at_the_end("7.", 7_000_000, 7_000_000)]
    #[case::plus("+1", 1_000_000, 1_000_000)]
    #[case::exponent("1.5e-05", 15, 15)]
    #[case::large_exponent("1.5E+3", 1_500_000_000, 1_500_000_000)]
    #[case::go("9.9e+06", 9_900_000_000_000, 9_900_000_000_000)]
    #[case::cut("0.1234567", 123_456, 123_457)]
    #[case::cut_negative("-0.1234567", -123_457, -123_456)]
    #[case::tiny("1e-300", 0, 1)]
    #[case::tinier("1e-99999999999999999999", 0, 1)]
    #[case::tiny_negative("-1e-300", -1, 0)]
    #[case::largest("999999999999.999999", 999_999_999_999_999_999, 999_999_999_999_999_999)]
    #[case::many_digits_of_nothing("1.000000000000000000000000000000", 1_000_000, 1_000_000)]
    fn a_number_becomes_millionths_in_the_direction_that_is_asked(
        #[case] text: &str,
        #[case] down: i64,
        #[case] up: i64,
    ) {
        assert_eq!((millionths(text, false), millionths(text, true)), (Ok(down), Ok(up)));
    }

    #[rstest]
    #[case("1e12", "out of range")]
    #[case("999999999999.9999999", "out of range")]
    #[case("1e999999999999999999999", "out of range")]
    #[case("NaN", "cannot be judged")]
    #[case("+Inf", "cannot be judged")]
    #[case("-inf", "cannot be judged")]
    #[case("", "is not a number")]
    #[case("-", "is not a number")]
    #[case(".", "is not a number")]
    #[case("1e", "is not a number")]
    #[case("0x10", "is not a number")]
    #[case("1_000", "is not a number")]
    #[case("1,5", "is not a number")]
    #[case("1.2.3", "is not a number")]
    #[case("--1", "is not a number")]
    #[case("١", "is not a number")]
    fn what_cannot_be_judged_is_refused_in_words(#[case] text: &str, #[case] message: &str) {
        let error = millionths(text, true).unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    proptest! {
        #[test]
        fn every_quantity_is_read_as_it_is_written(all in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            let text = crate::api::common::Quantity::from_millionths(all).to_string();
            prop_assert_eq!(millionths(&text, true), Ok(all));
            prop_assert_eq!(millionths(&text, false), Ok(all));
        }

        #[test]
        fn a_float_is_read_as_it_is_printed(number in -1e11_f64..1e11) {
            let (down, up) = (millionths(&format!("{number:e}"), false).unwrap(), millionths(&number.to_string(), true).unwrap());
            #[expect(clippy::cast_precision_loss, reason = "near enough to compare")]
            let (low, high) = (down as f64 / 1e6, up as f64 / 1e6);
            prop_assert!(up - down <= 1 && low <= number + 1e-4 && high >= number - 1e-4);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,30}|.{0,10}") {
            let _ = millionths(&text, true);
        }
    }
}
