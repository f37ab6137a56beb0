//! How much an assertion says: that something equals something says more than that it is there.

use std::sync::LazyLock;

use regex::Regex;

use super::rules::pattern;

/// How much an assertion says. Comparable within one place of a test only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Nothing: it always holds.
    Nothing,
    /// Something is there, is true, is one of several.
    Weak,
    /// Something is within bounds, is not something, is almost something.
    Middle,
    /// A part of something is exactly something: its length.
    Part,
    /// Something is exactly something.
    Strong,
}

/// What an assertion says, and whether it offers a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) strength: Strength,
    /// One of several is enough.
    choice: bool,
    /// What an error says counts too.
    detail: bool,
    /// How far off it may be, in billionths.
    tolerance: Option<u64>,
}

impl Says {
    /// Whether this says less than that.
    pub(super) fn less_than(self, other: Self) -> bool {
        let alike = self.strength == other.strength;
        let further = self.tolerance.zip(other.tolerance).is_some_and(|(now, before)| now > before);
        self.strength < other.strength
            || (alike && ((self.choice && !other.choice) || (other.detail && !self.detail) || further))
    }
}

type Table = LazyLock<Vec<(Regex, Strength)>>;

/// The first pattern that matches decides.
static TABLE: Table = LazyLock::new(|| {
    use Strength::{Middle, Nothing, Part, Strong, Weak};
    let rows = [
        // Holds always.
        (r"\bor\s+(?:True|true|1)\b|\|\|\s*true\b|^\s*if\s+false\b|^\s*if\b.*&&\s*false\b", Nothing),
        (r"(?:^|[;:])\s*assert\s*\(?\s*(?:True|1|not\s+False|not\s+None)\s*(?:[),;]|$)", Nothing),
        (
            r"(?i)\b(?:assert|assert_?true|assert_that|assert!|debug_assert!|prop_assert!|expect_true|assert_true|(?:assert|require)\.(?:true|istrue|ok)|assert\.that|require|check|boost_check|boost_test|fact)\s*\(\s*(?:t\s*,\s*)?(?:true|!\s*false|not\s+false|1)\s*[,)]",
            Nothing,
        ),
        (
            r"(?i)\b(?:assert_?false|expect_false|(?:assert|require)\.(?:false|isfalse))\s*\(\s*(?:t\s*,\s*)?false\s*[,)]",
            Nothing,
        ),
        (r"^\s*(?:assert|refute)\s+(?:true|1)\s*$", Nothing),
        (r#"(?:^|[^.\w])expect\s*\(\s*(?:true|false|True|1|0|null|undefined|"_*"|'_*')\s*\)"#, Nothing),
        // A condition before t.Error, which says the contrary.
        (r"^\s*(?:\}\s*else\s+)?if\b.*(?:!=|!\s*(?:\w+\.)*(?:DeepEqual|Equal\w*|Is|As)\()", Strong),
        (r"^\s*(?:\}\s*else\s+)?if\b.*==\s*(?:nil|0|_*|\x22_*\x22)\s*\{", Weak),
        (r"^\s*(?:\}\s*else\s+)?if\b", Middle),
        // Left out of what is shipped.
        (r"\bdebug_assert_(?:eq|ne)!", Middle),
        // Almost.
        (
            r"(?i)\bapprox\b|almost|toBeCloseTo|\bclose_?to\b|InDelta|InEpsilon|isclose|allclose|_NEAR\b|relative_eq|abs_diff|within\(",
            Middle,
        ),
        // One error is as good as another.
        (
            r"\b\w*(?i:raises?|throws?)\w*\s*[(<]\s*(?:\w+\.)*(?:Exception|BaseException|Throwable|Error|StandardError)\s*(?:::class|\.class)?\s*[,)>]",
            Weak,
        ),
        (r"\.toThrow\w*\(\s*\)|\.to\.throw\(\s*\)", Weak),
        // There, true, of a type, among others.
        (
            r"(?i)is_?not_?none\b|\brefute_nil\b|not_?null\b|not_?nil\b|\bis\s+not\s+None\b|!=\s*(?:None|nil|null|nullptr)\s*(?:\)|$)|not\.toBeNull|not\.toBeUndefined|not\.be\.null|not\.be_nil|not_to\s+be_nil",
            Weak,
        ),
        (
            r"toBeTruthy|toBeDefined|toBeInstanceOf|toContain\b|toContainEqual|toHaveProperty\(\s*[^,()]*\)|toHaveBeenCalled\(\s*\)|toHaveReturned\(\s*\)|\.to\.(?:be\.)?(?:ok|exist|true)\b|\.to\.include|anything\(\)|\bANY\b",
            Weak,
        ),
        (
            r"(?i)\bis_?instance|\bassert\s+type\s*\(|_called\(\s*\)|\bassert_?in\(|\bassert_?not_?in\(|\bcontains?\w*\(|assert_includes|\bto\s+include\b|\bbe_truthy\b|\bbe_present\b",
            Weak,
        ),
        (
            r"toBeFalsy|toHaveBeenCalledOnce\(\s*\)|_called_once\(\s*\)|toMatchObject|objectContaining|arrayContaining",
            Middle,
        ),
        // Equal to true is true.
        (
            r"==+\s*(?:True|true)\b|\bis\s+True\b|\b\w*(?:[Ee]qual\w*|_eq!?|toBe|eq|is)\s*\(\s*(?:true|True)\s*[,)]|,\s*(?:True|true)\s*\)",
            Weak,
        ),
        (
            r"==+\s*(?:False|false)\b|\bis\s+False\b|\b\w*(?:[Ee]qual\w*|_eq!?|toBe|eq|is)\s*\(\s*(?:false|False)\s*[,)]|,\s*(?:False|false)\s*\)",
            Middle,
        ),
        // Not equal.
        (
            r"(?i)not_?equal|not_?same|assert_ne!|_NE\b|\.not\.to(?:Be|Equal|StrictEqual)\(|\.to\.not\.|\.not\.(?:equal|eql)|\bnot_to\b|[^=!<>]!==?[^=]",
            Middle,
        ),
        // How long it is.
        (r"(?i)(?:\blen\s*\(|\.len\(\)|\.length\b|\.size\(\)|\.count\(\)).*\s[<>]=?\s", Middle),
        (
            r"(?i)(?:\blen\s*\(|\.len\(\)|\.length\b|\.size\(\)|\.count\(\)).*(?:==|toBe\(|equal)|(?:==|_eq!?\s*\(|equals?\w*\s*\().*(?:\blen\s*\(|\.len\(\)|\.length\b|\.size\(\)|\.count\(\))|toHaveLength|HasLength|hasSize|\.Len\(",
            Part,
        ),
        (r"\bmatches!\s*\(.*(?:\b_\b|\.\.)|\bmatches!\s*\(.*\bif\b", Middle),
        // Equal.
        (
            r"(?i)[^=!<>]===?[^=]|equals?\w*\s*[(<]|equal\w*\b|\b\w*eq!?\s*[({ ]|toBe\(|toStrictEqual|STREQ|_EQ\b|HasLength|toHaveLength|\blen\(|calledwith|called_(?:once_)?with|calledtimes|call_count|toBeNull|toBeUndefined|is_?none\b|is_?null\b|\bis\s+(?:None|[A-Z])|matches!|raises|throws?|snapshot|isSameAs|\bto\s+eq|\.Is\(",
            Strong,
        ),
        // Bounds.
        (
            r"(?i)\s[<>]=?\s|greater|less|_LT\b|_LE\b|_GT\b|_GE\b|toMatch|regex|startswith|starts_with|endswith|ends_with|between|positive",
            Middle,
        ),
        // Not true, empty.
        (
            r"(?i)assert(?:(?:_?true|\.true|\.ok|!)?\s*\(\s*(?:t\s*,\s*)?(?:!|not\s)|\s+(?:!|not\s))|assert_?false|isfalse\b|_false\s*\(|\.false\s*\(|is_?empty\b|refute\b|be_falsey|be_empty",
            Middle,
        ),
        // `in` of one assertion, not of a loop in it.
        (r"\sin\s", Weak),
        (
            r"(?i)\bassert_?true\s*\(|istrue\s*\(|\b(?:prop_|debug_)?assert!|expect_true|(?:assert|require)\.(?:true|ok|nil|noerror|notempty|implements)\s*\(|\b(?:check|require|assert|boost_check|boost_test)\s*\(|(?:^|[;:])\s*assert\s|\bnotempty|is_?ok\(|is_?some\(|is_?err\(",
            Weak,
        ),
    ];
    rows.into_iter().map(|(text, strength)| (pattern(text), strength)).collect()
});

static CHOICE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bor\b|[\w)\]\x22'}]\s*\|\||\.or\(|anyOf\(|any_of\("));
static DETAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bmatch\s*=|\bwithMessage|\bhasMessage|assertRaisesRegex"));
static TOLERANCE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:abs|rel|delta|atol|rtol|abs_tol|rel_tol|tolerance|epsilon)\s*=\s*(?P<value>[\d._]+(?:[eE][+-]?\d+)?)",
    )
});
static TUPLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*assert\s+\("));
static ASSERTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*(?:assert\s|(?:debug_|prop_)?assert!\s*\(|assert\s*\(|(?:self\.)?assertTrue\s*\(|(?:EXPECT|ASSERT)_TRUE\s*\(|(?:REQUIRE|CHECK)\s*\()",
    )
});
static EQUALITY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:assert_?(?:strict_?)?equals?|assert_?is|assert_?same|(?:debug_|prop_)?assert_eq!|(?:expect|assert|boost_check)_(?:eq|equal|streq)|(?:assert|require)\.(?:equal|equals|strictequal|deepequal|deepstrictequal|areequal|same))\s*\(",
    )
});
static MATCHER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*(?:await\s+)?expect\s*\((?P<left>.*)\)\.(?:toBe|toEqual|toStrictEqual|to\.equal|to\.deep\.equal|to\.eql)\s*\((?P<right>.*)\)\s*;?\s*$",
    )
});
/// What this assertion says: `code` with `_` for texts, `bare` with the texts, of the same length.
pub(super) fn says(code: &str, bare: &str) -> Says {
    let strength = if compares_the_same(code, bare) || is_tuple(code, bare) {
        Strength::Nothing
    } else {
        TABLE.iter().find(|(pattern, _)| pattern.is_match(code)).map_or(Strength::Strong, |(_, strength)| *strength)
    };
    let choice = CHOICE.is_match(code);
    Says { strength, choice, detail: DETAIL.is_match(code), tolerance: tolerance(code) }
}

/// `x == x`, in whatever form.
fn compares_the_same(code: &str, bare: &str) -> bool {
    let same = |left: &str, right: &str| {
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        !left.trim().is_empty() && plain(left) == plain(right)
    };
    let span = |found: &regex::Captures<'_>, name: &str| {
        found.name(name).and_then(|part| bare.get(part.range())).unwrap_or_default().to_owned()
    };
    if let Some(found) = MATCHER.captures(code) {
        return same(&span(&found, "left"), &span(&found, "right"));
    }
    if let Some(found) = ASSERTED.find(code) {
        let compared = comparison(code, bare, found.end());
        return compared.is_some_and(|(left, right)| same(left, right));
    }
    EQUALITY.find(code).is_some_and(|found| {
        let arguments = arguments(code, bare, found.end());
        let skipped = usize::from(arguments.first().is_some_and(|first| first.trim() == "t"));
        matches!(arguments.get(skipped..), Some([left, right, ..]) if same(left, right))
    })
}

/// How far off it may be.
fn tolerance(code: &str) -> Option<u64> {
    let value: f64 = TOLERANCE.captures(code)?.name("value")?.as_str().replace('_', "").parse().ok()?;
    // Whatever is beyond is far off all the same.
    format!("{:.0}", (value * 1e9).clamp(0.0, 1e18)).parse().ok()
}

/// A text in brackets beside what is asserted makes a tuple, which always holds.
fn is_tuple(code: &str, bare: &str) -> bool {
    TUPLE.find(code).is_some_and(|found| {
        let parts = arguments(code, bare, found.end());
        let inside: usize = parts.iter().map(|part| part.len() + 1).sum();
        let after = code.get(found.end() + inside..).unwrap_or_default();
        parts.len() > 1 && parts.last().is_some_and(|last| !last.trim().is_empty()) && after.trim().is_empty()
    })
}

/// Both sides of the `==` in what is asserted from `begin`, without a message behind it.
fn comparison<'a>(code: &str, bare: &'a str, begin: usize) -> Option<(&'a str, &'a str)> {
    let bytes = code.as_bytes();
    let (mut depth, mut sign) = (0_u32, None);
    let mut end = bytes.len();
    for at in begin..bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' | b',' | b';' if depth == 0 => {
                end = at;
                break;
            }
            b')' | b']' | b'}' => depth -= 1,
            b'=' if depth == 0
                && sign.is_none()
                && bytes.get(at + 1) == Some(&b'=')
                && !b"=!<>".contains(&bytes[at - 1]) =>
            {
                let length = if bytes.get(at + 2) == Some(&b'=') { 3 } else { 2 };
                sign = Some((at, at + length));
            }
            _ => {}
        }
    }
    let (left_end, right_begin) = sign.filter(|(at, _)| *at >= begin)?;
    Some((bare.get(begin..left_end)?, bare.get(right_begin..end)?))
}

/// What is between the commas of the brackets that opened before `begin`.
fn arguments<'a>(code: &str, bare: &'a str, begin: usize) -> Vec<&'a str> {
    let mut found = Vec::new();
    let (mut depth, mut from) = (0_u32, begin);
    for (at, byte) in code.bytes().enumerate().skip(begin) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => {
                found.extend(bare.get(from..at));
                return found;
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.extend(bare.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::review::rail::{lexer::Lexer, rules::Family};
    use Strength::{Middle, Nothing, Part, Strong, Weak};

    #[rstest]
    #[case(Family::Python, Nothing, &["assert True", "assert True, 'always'", "self.assertTrue(True)", "assert x == 3 or True", "assert x == x", "self.assertEqual(x, x)", "assert 1", "assert not False", "assert f(a=1) == f(a=1)", "assert (x == 3, 'why')", "self.assertFalse(False)"])]
    #[case(Family::Python, Weak, &["assert x", "assert x is not None", "self.assertTrue(x)", "self.assertIsNotNone(x)", "assert x in (3, 4)", "self.assertIn(x, y)", "assert isinstance(x, int)", "with pytest.raises(Exception):", "assert x is True", "self.assertEqual(x, True)", "m.assert_called()"])]
    #[case(Family::Python, Middle, &["assert x >= 3", "assert len(x) >= 3", "assert x != 3", "assert x == pytest.approx(3)", "self.assertGreater(x, 3)", "assert not x", "self.assertFalse(x)", "m.assert_called_once()", "self.assertNotEqual(x, 3)"])]
    #[case(Family::Python, Part, &["assert len(x) == 3", "self.assertEqual(len(x), 3)"])]
    #[case(Family::Rust, Part, &["assert_eq!(x.len(), 3)", "assert!(x.len() == 3)"])]
    #[case(Family::JavaScript, Part, &["expect(x).toHaveLength(3)", "expect(x.length).toBe(3)"])]
    #[case(Family::Python, Strong, &["assert x == 3", "self.assertEqual(x, 3)", "with pytest.raises(ValueError):", "assert x is None", "self.assertIsNone(x)", "m.assert_called_once_with(3)", "self.assertTrue(x == 3)", "assert all(x == 3 for x in y)", "assert_ok(x)", "assert \"or True\" == x", "assert x == []", "assert x == ''", "with pytest.raises(exception, match=x):", "self.assertRaises(KeyError, f)"])]
    #[case(Family::Rust, Nothing, &["assert!(true)", "assert_eq!(x, x)", "assert!(x == x);", "assert!(x == 3 || true)", "assert_eq!(1, 1);"])]
    #[case(Family::Rust, Weak, &["assert!(x)", "assert!(x.is_some())", "assert!(x.is_ok(), \"{x:?}\")", "assert!(x.contains(\"a\"))"])]
    #[case(Family::Rust, Middle, &["assert!(x > 3)", "assert_ne!(x, 3)", "assert!(!x)", "assert!(matches!(x, Ok(_)))"])]
    #[case(Family::Rust, Strong, &["assert_eq!(x, 3)", "assert!(x == 3)", "assert!(matches!(x, E::A))", "insta::assert_snapshot!(x)", "assert_eq!(x, Vec::<u8>::new())"])]
    #[case(Family::JavaScript, Nothing, &["expect(true).toBe(true);", "expect(x).toBe(x)", "assert(true)", "assert.ok(true)", "expect(1).toEqual(1)"])]
    #[case(Family::JavaScript, Weak, &["expect(x).toBeTruthy()", "expect(x).toBeDefined()", "expect(x).not.toBeNull()", "expect(x).toBe(true)", "expect(f).toThrow()", "expect(f).toHaveBeenCalled()", "expect(x).toContain(3)", "assert.ok(x)", "assert(x)"])]
    #[case(Family::JavaScript, Middle, &["expect(x).toBeGreaterThan(3)", "expect(x).not.toBe(3)", "expect(x).toBeCloseTo(3)", "expect(x).toMatchObject({a: 1})", "expect(x).toBeFalsy()", "expect(x).toBe(false)"])]
    #[case(Family::JavaScript, Strong, &["expect(x).toBe(3)", "expect(x).toEqual({a: 1})", "expect(f).toThrow(RangeError)", "expect(f).toHaveBeenCalledWith(3)", "assert.strictEqual(x, 3)", "expect(x).to.equal(3)", "expect(x).toBeNull()"])]
    #[case(Family::Go, Nothing, &["if false { t.Error(x)", "assert.True(t, true)", "assert.Equal(t, x, x)"])]
    #[case(Family::Go, Weak, &["assert.NotNil(t, x)", "assert.True(t, x)", "if got == nil { t.Fatal(got)", "assert.NoError(t, err)"])]
    #[case(Family::Go, Strong, &["if got != want { t.Errorf(x, got)", "if !reflect.DeepEqual(got, want) { t.Fatal()", "assert.Equal(t, 3, x)", "if err != nil { t.Fatal(err)"])]
    #[case(Family::Jvm, Nothing, &["assertTrue(true);", "assertEquals(x, x);"])]
    #[case(Family::Jvm, Weak, &["assertTrue(x);", "assertNotNull(x);", "assertThat(x).isNotNull();", "assertThrows(Exception.class, f);"])]
    #[case(Family::Jvm, Strong, &["assertEquals(3, x);", "assertThat(x).isEqualTo(3);", "assertThrows(IOException.class, f);", "assertEquals(true && x, y)", "assertNull(x);"])]
    #[case(Family::C, Nothing, &["EXPECT_TRUE(true);", "REQUIRE(true);"])]
    #[case(Family::C, Weak, &["EXPECT_TRUE(x);", "REQUIRE(x);"])]
    #[case(Family::C, Strong, &["EXPECT_EQ(x, 3);", "REQUIRE(x == 3);", "ASSERT_STREQ(a, b);"])]
    #[case(Family::CSharp, Weak, &["Assert.True(x);", "Assert.NotNull(x);", "Assert.Contains(x, y);"])]
    #[case(Family::CSharp, Strong, &["Assert.Equal(3, x);", "x.Should().Be(3);", "Assert.Throws<IOException>(f);"])]
    #[case(Family::Ruby, Nothing, &["assert true"])]
    #[case(Family::Ruby, Weak, &["assert x", "refute_nil x", "expect(x).to be_truthy"])]
    #[case(Family::Ruby, Strong, &["assert_equal 3, x", "expect(x).to eq(3)", "expect { f }.to raise_error(KeyError)"])]
    fn an_assertion_says_this_much(#[case] family: Family, #[case] strength: Strength, #[case] lines: &[&str]) {
        for line in lines {
            let masked = Lexer::new(family.lexis()).mask(line);
            assert_eq!(says(&masked.code(line), &masked.bare(line)).strength, strength, "{line}");
        }
    }

    #[test]
    fn within_more_says_less_and_so_does_any_message() {
        let says = |line: &str| super::says(line, line);
        assert!(says("assert x == approx(3, abs=1000)").less_than(says("assert x == approx(3, abs=0.01)")));
        assert!(!says("assert x == approx(3, abs=1e-9)").less_than(says("assert x == approx(3, abs=0.01)")));
        let raises = "with pytest.raises(ValueError";
        assert!(says(&format!("{raises}):")).less_than(says(&format!("{raises}, match='few'):"))));
        assert!(!says(&format!("{raises}, match='many'):")).less_than(says(&format!("{raises}, match='few'):"))));
    }

    #[test]
    fn a_choice_says_less_than_none() {
        let says = |line: &str| super::says(line, line);
        assert!(says("assert x == 3 or x == 4").less_than(says("assert x == 3")));
        assert!(!says("assert x == 3 or x == 4").less_than(says("assert x == 3 or x == 5")));
        assert!(!says("assert x == 4").less_than(says("assert x == 3")));
    }
}
