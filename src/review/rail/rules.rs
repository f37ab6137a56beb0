//! What a language's tests look like: one table each. Patterns are tried on a line whose comments are blank and whose
//! texts in quotes are `_`.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    lexer::Lexis,
    path::{extension, name},
};

/// Languages, by what their tests and comments look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Python,
    Rust,
    JavaScript,
    Go,
    Jvm,
    Ruby,
    C,
    CSharp,
    /// Comments begin with `#`: shells, YAML, Dockerfiles.
    Script,
    /// Any other text.
    Other,
    /// Words for people: nothing in them silences a tool.
    Prose,
}

impl Family {
    /// The language of a file, by its name.
    pub(super) fn of(path: &str) -> Self {
        match extension(path).as_str() {
            "py" | "pyi" | "pyx" => Self::Python,
            "rs" => Self::Rust,
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" | "vue" | "svelte" | "astro" => {
                Self::JavaScript
            }
            "go" => Self::Go,
            "java" | "kt" | "kts" | "groovy" | "scala" => Self::Jvm,
            "rb" | "rake" => Self::Ruby,
            "c" | "cc" | "cpp" | "cxx" | "h" | "hh" | "hpp" | "hxx" | "cu" | "ino" | "m" | "mm" => Self::C,
            "cs" => Self::CSharp,
            "sh" | "bash" | "zsh" | "ksh" | "bats" | "yml" | "yaml" | "toml" | "ini" | "cfg" | "conf" | "tf"
            | "hcl" | "mk" | "pl" | "r" | "properties" | "dockerfile" | "feature" => Self::Script,
            "md" | "markdown" | "rst" | "adoc" | "txt" | "html" | "htm" | "svg" | "json" | "lock" | "csv" | "snap"
            | "patch" | "diff" | "po" | "ipynb" => Self::Prose,
            _ if name(path).starts_with("Dockerfile") || name(path).starts_with("Makefile") => Self::Script,
            _ => Self::Other,
        }
    }

    /// How comments and texts are written in it.
    pub(super) fn lexis(self) -> Lexis {
        let c_like = Lexis {
            comments: &["//"],
            block: Some(("/*", "*/")),
            quotes: "\"",
            long: &[],
            character: true,
            raw: false,
            regex: false,
            apart: false,
        };
        match self {
            Self::Python => Lexis {
                comments: &["#"],
                block: None,
                quotes: "\"'",
                long: &[("\"\"\"", true), ("'''", true)],
                character: false,
                ..c_like
            },
            Self::Rust => Lexis { long: &[("\"", true)], quotes: "", raw: true, ..c_like },
            Self::JavaScript => Lexis { quotes: "\"'", long: &[("`", true)], character: false, regex: true, ..c_like },
            Self::Go => Lexis { long: &[("`", false)], ..c_like },
            Self::Jvm => Lexis { long: &[("\"\"\"", true)], ..c_like },
            Self::C => c_like,
            Self::CSharp => Lexis { long: &[("\"\"\"", false)], ..c_like },
            Self::Ruby => Lexis { comments: &["#"], block: None, quotes: "\"'", character: false, ..c_like },
            Self::Script => {
                Lexis { comments: &["#"], block: None, quotes: "", character: false, apart: true, ..c_like }
            }
            Self::Other | Self::Prose => Lexis {
                comments: &["#", "//", "--", ";", "<!--", "/*", "%"],
                block: None,
                quotes: "",
                character: false,
                apart: true,
                ..c_like
            },
        }
    }

    /// What its tests look like; none if nothing is known of them.
    pub(super) fn rules(self) -> Option<&'static Rules> {
        match self {
            Self::Python => Some(&PYTHON),
            Self::Rust => Some(&RUST),
            Self::JavaScript => Some(&JAVASCRIPT),
            Self::Go => Some(&GO),
            Self::Jvm => Some(&JVM),
            Self::Ruby => Some(&RUBY),
            Self::C => Some(&C),
            Self::CSharp => Some(&CSHARP),
            Self::Script | Self::Other | Self::Prose => None,
        }
    }
}

/// What tests look like in one language. Names are in a group `name`.
pub(super) struct Rules {
    /// Begins a test.
    pub(super) test: Regex,
    /// Makes the next function a test.
    pub(super) attribute: Regex,
    /// Such a function.
    pub(super) function: Regex,
    /// A class that runners look for tests in.
    pub(super) group: Regex,
    /// Something must hold.
    pub(super) assertion: Regex,
    /// Declares something, and only looks like an assertion.
    pub(super) declaration: Regex,
    /// A test is left out, or may fail.
    pub(super) skip: Regex,
    /// The same, where it must be read in quotes.
    pub(super) skip_text: Regex,
    /// A test is expected to end badly: fine for a new one.
    pub(super) expected: Regex,
    /// A failed assertion is caught.
    pub(super) caught: Regex,
    /// Any error is caught.
    pub(super) handler: Regex,
    /// Fails, or hands an error on.
    pub(super) fails: Regex,
    /// A condition on what follows.
    pub(super) guard: Regex,
    /// In a class of tests it keeps runners from them.
    pub(super) uncollected: Regex,
    /// A list of cases for one test.
    pub(super) table: Regex,
    /// One case of a test, on a line.
    pub(super) row: Regex,
    /// One test stands for many cases.
    pub(super) many: Regex,
    /// Leaves a test.
    pub(super) leave: Regex,
    /// A condition on the line before an assertion is part of it.
    pub(super) condition: Regex,
    /// Opens a part of a file that is about tests.
    pub(super) tests_only: Regex,
}

static PYTHON: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(r"^\s*(?:async\s+)?def\s+(?P<name>test\w*)\s*\("),
    group: pattern(r"^\s*class\s+(?P<name>Test\w*|\w+\s*\(.*TestCase)"),
    assertion: pattern(
        r"(?:^|[;:])\s*assert\b|\bassert\w+\s*\(|\b(?:pytest\.)?(?:raises|warns)\s*\(|\b(?:pytest|self)\.fail\s*\(|\braise\s+AssertionError\b",
    ),
    declaration: pattern(r"^\s*(?:(?:async\s+)?def|class|from|import)\b"),
    skip: pattern(concat!(
        r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\s*\(|",
        r"^\s*@(?:unittest\.)?(?:skip|skipIf|skipUnless|expectedFailure)\b|\bskipTest\s*\(|\bSkipTest\s*\(|\braise\s+(?:unittest\.)?SkipTest\b|",
        r"\b__test__\s*=\s*False\b|^\s*collect_ignore(?:_glob)?\b|\bdef\s+pytest_(?:ignore_collect|collection_modifyitems)\b|^\s*if\s+(?:False|0)\s*:|\.outcome\s*=[^=]",
    )),
    caught: pattern(
        r"^\s*except\b.*\bAssertionError\b|\bsuppress\(.*\b(?:AssertionError|Exception|BaseException)\b|^\s*for\b.*\bin\s+(?:\[\s*\]|\(\s*\)|range\(\s*0\s*\))\s*:",
    ),
    handler: pattern(r"^\s*except\s*(?:\(?\s*(?:Exception|BaseException)\b.*)?:"),
    fails: pattern(r"\braise\b|\bfail\b|\bassert"),
    guard: pattern(r"^\s*(?:el)?if\b.*:\s*$"),
    uncollected: pattern(r"^\s*def\s+__init__\s*\("),
    table: pattern(r"\bparametrize\s*\("),
    many: pattern(r"\bparametrize\s*\(|\bsubTest\s*\(|\bparameterized\b"),
    leave: pattern(r"^\s*return(?:\s+None)?\s*$"),
    ..nothing()
});

static RUST: LazyLock<Rules> = LazyLock::new(|| Rules {
    attribute: pattern(
        r"#\[\s*(?:\w+::)*(?:test|rstest|test_case|test_matrix|wasm_bindgen_test|quickcheck|bench)\s*[\](]",
    ),
    function: pattern(r"\bfn\s+(?P<name>\w+)"),
    assertion: pattern(r"\b\w*assert\w*!"),
    declaration: pattern(r"^\s*(?:macro_rules!|use\b|pub\s+use\b)"),
    skip: pattern(
        r"#\[\s*ignore\b|#\[\s*cfg_attr\s*\(.*\bignore\b|#\[\s*cfg\s*\(\s*(?:any\(\s*\)|false|FALSE)\s*\)|#\[\s*cfg\s*\(\s*all\s*\(\s*test\s*,|^\s*if\s+false\b",
    ),
    expected: pattern(r"#\[\s*should_panic\b"),
    caught: pattern(r"\bcatch_unwind\s*\(.*assert"),
    guard: pattern(r"^\s*if\b.*\{\s*$"),
    row: pattern(r"^\s*#\[\s*(?:case(?:::\w+)?|test_case)\s*\("),
    many: pattern(r"#\[\s*(?:case|values|test_case|rstest)\b"),
    leave: pattern(r"^\s*return\s*(?:Ok\(\(\)\)\s*)?;\s*$"),
    tests_only: pattern(r"#\[\s*cfg\s*\(\s*(?:test\s*\)|all\(\s*test\b|any\(\s*test\b)"),
    ..nothing()
});

static JAVASCRIPT: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(
        r#"^\s*(?:(?:await|return)\s+)?[xf]?(?:it|test|specify)(?:\.(?:skip|only|todo|each|concurrent|fixme|failing|fails|serial|sequential|skipIf|runIf|for))*\s*(?:\(|`)\s*(?:["'`](?P<name>[^"'`]*))?"#,
    ),
    assertion: pattern(
        r"\bexpect\w*\s*(?:\.\w+\s*)?\(|\bassert\w*(?:\.\w+)*\s*\(|\.should\b|\bt\.(?:is|not|ok|equal|equals|same|deepEqual|strictEqual|throws|truthy|falsy|true|false|pass|like|regex)\s*\(",
    ),
    declaration: pattern(
        r"^\s*(?:import\b|(?:export\s+)?(?:default\s+)?(?:async\s+)?function\b|(?:const|let|var)\s*\{)",
    ),
    skip: pattern(concat!(
        r"\b(?:it|test|describe|context|suite|specify|scenario)(?:\.\w+)*\.(?:skip|todo|fixme|skipIf|runIf|fails|failing|only)\b|",
        r"^\s*(?:xit|xtest|xdescribe|xcontext|xspecify|fit|fdescribe|fcontext|ftest)\s*[(.]|\b(?:this|t|ctx|context)\.(?:skip|todo)\s*\(|",
        r#"[{,]\s*(?:skip|todo|only)\s*:\s*(?:true\b|["'`])|^\s*if\s*\(\s*(?:false|0)\s*\)|^\s*pending\s*\("#,
    )),
    handler: pattern(r"^\s*\}?\s*catch\b"),
    fails: pattern(r"\bthrow\b|\bfail\b|\bexpect\b|\bassert|\breject\b|\bdone\("),
    guard: pattern(r"^\s*if\b.*\{\s*$"),
    table: pattern(r"\.each\s*\("),
    many: pattern(r"\.each\b|\.forEach\b|^\s*for\b"),
    leave: pattern(r"^\s*return\s*;?\s*$"),
    ..nothing()
});

static GO: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(
        r#"^func\s+(?:\([^)]*\)\s*)?(?P<name>(?:Test|Benchmark|Fuzz|Example)\w*)\s*\(|^\s*(?:ok\s*:?=\s*)?\w+\.Run\(\s*"(?P<sub>[^"]+)""#,
    ),
    assertion: pattern(concat!(
        r"\b[tb]\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\s*\(|\b(?:assert|require)\.\w+\s*\(|\bs(?:uite)?\.(?:Require|Assert)\(\)|",
        r"\bs(?:uite)?\.(?:Equal|NotEqual|True|False|Nil|NotNil|NoError|Error|ErrorIs|Contains|Len|Empty|NotEmpty)\s*\(|\b(?:Expect|Ω|Eventually|Consistently)\s*\("
    )),
    declaration: pattern(r"^\s*(?:func|import|type)\b"),
    skip: pattern(
        r"\b[tbs]\.(?:T\(\)\.)?Skip(?:f|Now)?\s*\(|^\s*if\s+false\b|^\s*(?:PIt|XIt|FIt|PDescribe|XDescribe|FDescribe|PContext|XContext)\s*\(",
    ),
    many: pattern(r":=\s*range\b"),
    leave: pattern(r"^\s*return\s*$"),
    condition: pattern(r"^\s*(?:\}\s*else\s+)?if\b.*\{\s*$"),
    ..nothing()
});

static JVM: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(
        r#"^\s*public\s+void\s+(?P<name>test\w+)\s*\(\s*\)|^\s*(?:def|fun)\s+["`](?P<sub>[^"`]+)["`]\s*\(|^\s*(?:test|it)\(\s*"(?P<text>[^"]+)"\s*\)"#,
    ),
    attribute: pattern(r"@(?:\w+\.)*(?:Test|ParameterizedTest|RepeatedTest|TestFactory|TestTemplate|Property)\b"),
    function: pattern(
        r"(?:\bfun|\bdef)\s+(?P<name>\w+|`[^`]+`)\s*\(|^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|protected|private|static|final|suspend|open|internal)\s+)*[\w<>\[\],.?]+\s+(?P<sub>\w+)\s*\(",
    ),
    assertion: pattern(
        r"\bassert\w*\s*[({]|^\s*assert\b|\bverify\w*\s*\(|\bexpect\w*\s*[({]|\bshould[A-Z]\w*\b|\bfail\s*\(|@Test\s*\(\s*expected\b",
    ),
    declaration: pattern(
        r"^\s*import\b|^\s*(?:(?:public|protected|private|static|final|suspend|open|internal|override|inline)\s+)*(?:void|fun|class|interface|def)\b",
    ),
    skip: pattern(concat!(
        r"@(?:\w+\.)*(?:Disabled\w*|Ignore\w*|EnabledIf\w*|EnabledOn\w*|EnabledFor\w*|PendingFeature)\b|\bassum(?:e|ing)(?:True|False|That|NotNull|NoException)\s*\(|",
        r"@Test\s*\(.*\benabled\s*=\s*false|^\s*if\s*\(\s*false\s*\)|^\s*(?:xtest|xit|xdescribe|xshould)\("
    )),
    caught: pattern(r"\bcatch\s*\(.*\bAssertion(?:Failed)?Error\b"),
    table: pattern(r"@(?:ValueSource|CsvSource|EnumSource)\s*\("),
    many: pattern(r"@(?:ParameterizedTest|RepeatedTest|TestFactory|Property)\b|\bwhere\s*:"),
    leave: pattern(r"^\s*return\s*;?\s*$"),
    ..nothing()
});

static RUBY: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(
        r#"^\s*def\s+(?P<name>test_\w+[?!]?)|^\s*[xf]?(?:it|test|specify|scenario|example)\b\s*\(?\s*["'](?P<sub>[^"']*)|^\s*(?:it|specify)\s*(?:do\b|\{)"#,
    ),
    assertion: pattern(
        r"^\s*(?:assert|refute|flunk)\w*\b|\bexpect\s*[({]|\bexpect\s+do\b|\bis_expected\b|\.should(?:_not)?\b|\.(?:must|wont)_\w+",
    ),
    declaration: pattern(r"^\s*(?:def|class|module|require)\b"),
    skip: pattern(concat!(
        r"^\s*(?:skip|pending|xit|xdescribe|xcontext|xspecify|xfeature|xscenario|xexample|fit|fdescribe|fcontext|fspecify)(?:\s*$|\s+[^=\s.]|\s*\()|",
        r#"\b(?:skip|pending|focus):\s*(?:true\b|["'])|,\s*:(?:skip|pending|focus)\b|^\s*if\s+false\b"#
    )),
    caught: pattern(r"^\s*rescue\b.*\b(?:Minitest::Assertion|ExpectationNotMetError)\b"),
    many: pattern(r"\.each\b"),
    leave: pattern(r"^\s*return\s*$"),
    ..nothing()
});

static C: LazyLock<Rules> = LazyLock::new(|| Rules {
    test: pattern(
        r"^\s*(?:TYPED_)?TEST(?:_[FP])?\s*\(\s*(?P<name>[^)]*)\)|^\s*(?:TEST_CASE|TEST_CASE_METHOD|SCENARIO|SECTION|SUBCASE|BOOST_(?:AUTO|FIXTURE|DATA|PARAM)_TEST_CASE)\s*\(\s*(?P<sub>[^,)]*)",
    ),
    assertion: pattern(
        r"\b(?:EXPECT|ASSERT|REQUIRE|CHECK|BOOST_(?:CHECK|REQUIRE|TEST)|STATIC_REQUIRE|TEST_ASSERT)(?:_\w+)?\s*\(|\bassert\s*\(",
    ),
    declaration: pattern(r"^\s*#\s*(?:include|define)\b"),
    skip: pattern(
        r"\bDISABLED_\w+|\bGTEST_SKIP\b|^\s*SKIP\s*\(|\bdoctest::(?:skip|may_fail|should_fail|expected_failures)\b|\bunit_test::(?:disabled|expected_failures)\b|^\s*#\s*if\s+0\b|^\s*if\s*\(\s*(?:false|0)\s*\)",
    ),
    skip_text: pattern(r"^\s*(?:TEST_CASE|SCENARIO)\s*\(.*\[(?:\.[^\]]*|!shouldfail|!mayfail|hide)\]"),
    many: pattern(r"\bTEST_P\b|\bGENERATE\b|\bDATA_TEST_CASE\b"),
    leave: pattern(r"^\s*return\s*;\s*$"),
    ..nothing()
});

static CSHARP: LazyLock<Rules> = LazyLock::new(|| Rules {
    attribute: pattern(
        r"\[\s*(?:\w+\.)*(?:Fact|Theory|Test|TestMethod|TestCase|DataTestMethod|TestCaseSource|SkippableFact)\b",
    ),
    function: pattern(r"\b(?:void|Task(?:<[^>]*>)?|ValueTask)\s+(?P<name>\w+)\s*[(<]"),
    assertion: pattern(r"\b(?:\w*Assert|Assertion)\.\w+\s*[<(]|\.Should\w*\s*\(|\.Verify\w*\s*\(|\bReceived\s*\("),
    declaration: pattern(r"^\s*using\b"),
    skip: pattern(
        r"\[\s*(?:Ignore|Explicit)\b|[\[(,]\s*(?:Skip|Ignore|SkipWhen|SkipUnless)\s*=|\bAssert\.(?:Ignore|Inconclusive|Skip\w*|Warn)\s*\(|\bSkip\.(?:If|IfNot|Unless|When)\s*\(|^\s*#\s*if\s+false\b|^\s*if\s*\(\s*false\s*\)",
    ),
    caught: pattern(r"\bcatch\s*\(.*\b(?:XunitException|AssertionException|AssertFailedException)\b"),
    row: pattern(r"^\s*\[\s*(?:InlineData|TestCase|DataRow)\s*\("),
    many: pattern(r"\[\s*(?:Theory|TestCase|DataTestMethod|InlineData|DataRow)\b"),
    leave: pattern(r"^\s*return\s*;\s*$"),
    ..nothing()
});

/// Patterns that match nothing.
fn nothing() -> Rules {
    let never = pattern(r"[^\s\S]");
    Rules {
        test: never.clone(),
        attribute: never.clone(),
        function: never.clone(),
        group: never.clone(),
        assertion: never.clone(),
        declaration: never.clone(),
        skip: never.clone(),
        skip_text: never.clone(),
        expected: never.clone(),
        caught: never.clone(),
        handler: never.clone(),
        fails: never.clone(),
        guard: never.clone(),
        uncollected: never.clone(),
        table: never.clone(),
        row: never.clone(),
        many: never.clone(),
        leave: never.clone(),
        condition: never.clone(),
        tests_only: never,
    }
}

/// A pattern of these tables. All of them are written here, and a test compiles each.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of the tables is a regular expression")
}
