//! The digest of the evidence of a ReviewResult: by it a tag or a gate note names the very record that its score was
//! computed from.
//!
//! It is of the `spec` as the API server stores it, so that anybody can compute it again:
//!
//! ```text
//! kubectl get reviewresult NAME -o json | jq -cSj .spec | sha256sum
//! ```

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::rubric::canonical;
use crate::api::ReviewResultSpec;

/// `sha256:` and 64 hexadecimal digits: of the spec as JSON with the keys of every object in order, no white space, and
/// only those characters escaped that have to be, and U+007F. That is what `jq -cSj` prints.
///
/// Decimals are strings as the operator writes them, everything else is an integer; the API server keeps both.
pub fn evidence_digest(spec: &ReviewResultSpec) -> String {
    // Strings, integers, lists and maps with names for keys always become JSON.
    let value = serde_json::to_value(spec).unwrap_or_default();
    digest(value)
}

fn digest(value: Value) -> String {
    let text = canonical(value).to_string().replace('\u{7f}', "\\u007f");
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use serde_json::json;

    use super::*;

    fn spec() -> ReviewResultSpec {
        serde_json::from_value(json!({
            "repository": "hello", "phase": "hello-1", "phaseUID": "u", "attempt": 1, "number": 2,
            "commit": "c", "tree": "t", "base": "b", "gateHash": "h",
            "rubric": {"passingScore": 9, "categories": [{"weight": 25, "name": "functionality", "floor": "8.0"}]},
            "checks": [{
                "name": "test", "task": "hello-1.r1-2.test", "blocking": true, "categories": ["functionality"],
                "outcome": "Failed", "exitCode": -1,
                "message": "„Quote\" \\ / <b>&\u{1}\u{8}\u{c}\n\r\t\u{7f}\u{80}\u{2028}é😀",
            }],
        }))
        .unwrap()
    }

    fn sha256(text: &str) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(text)))
    }

    #[test]
    fn it_is_of_sorted_json_without_white_space() {
        let mut plain = spec();
        plain.checks[0].message = "no".to_owned();
        let json = concat!(
            r#"{"attempt":1,"base":"b","checks":[{"blocking":true,"categories":["functionality"],"exitCode":-1,"#,
            r#""message":"no","name":"test","outcome":"Failed","task":"hello-1.r1-2.test"}],"commit":"c","gateHash":"h","#,
            r#""number":2,"phase":"hello-1","phaseUID":"u","repository":"hello","rubric":{"categories":"#,
            r#"[{"floor":"8.0","name":"functionality","weight":25}],"passingScore":"9.0"},"tree":"t"}"#,
        );
        assert_eq!(evidence_digest(&plain), sha256(json));
    }

    #[test]
    fn one_character_more_is_another_digest() {
        let mut other = spec();
        other.checks[0].message.push('.');
        assert_ne!(evidence_digest(&spec()), evidence_digest(&other));
    }

    /// The recipe of the documentation, where jq is installed. The input is in no order and has white space, as
    /// kubectl prints it.
    #[test]
    fn jq_comes_to_the_same() {
        let jq = Command::new("jq").args(["-cSj", ".spec"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut jq) = jq else { return };
        let text = serde_json::to_string_pretty(&json!({"spec": spec()})).unwrap();
        jq.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let printed = String::from_utf8(jq.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(evidence_digest(&spec()), sha256(&printed), "{printed}");
    }
}
