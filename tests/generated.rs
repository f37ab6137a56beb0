//! What is generated is what is checked in. `make crds` makes it so.

use std::{collections::BTreeMap, fs, path::Path};

fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).expect("a folder of generated files");
    entries
        .map(|entry| {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().expect("a file name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text file"))
        })
        .collect()
}

#[test]
fn the_checked_in_crds_are_those_of_the_api() {
    let generated: BTreeMap<_, _> = phasegate::api::crds()
        .into_iter()
        .map(|(file, crd)| (file.to_owned(), serde_yaml::to_string(&crd).expect("a CRD renders")))
        .collect();
    let checked_in = files("crds");
    assert_eq!(
        generated.keys().collect::<Vec<_>>(),
        checked_in.keys().collect::<Vec<_>>(),
        "other files in crds/: run `make crds`"
    );
    for (file, crd) in generated {
        assert!(checked_in[&file] == crd, "crds/{file} is out of date: run `make crds`");
    }
}

#[test]
fn the_chart_holds_the_same_crds() {
    assert!(files("charts/phasegate/files/crds") == files("crds"), "the chart's CRDs are out of date: run `make crds`");
}

/// The chart renders the files as templates of text, where `{{` would be an action in no one's mind,
/// and hangs the keep annotation on the one `metadata:` line at the start of a line.
#[test]
fn the_chart_can_annotate_every_crd() {
    for (file, crd) in files("crds") {
        assert_eq!(crd.matches("\nmetadata:\n").count(), 1, "{file} has one metadata block of its own");
        assert!(!crd.contains("\n  annotations:"), "{file} has no annotations that the chart's would hide");
    }
}

/// Every field says what it is for, and nothing of any length gets in.
#[test]
fn every_field_has_a_description_and_a_bound() {
    let mut lacking = Vec::new();
    for (file, crd) in phasegate::api::crds() {
        let value = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema is JSON");
        let schema = &value["openAPIV3Schema"];
        for part in ["spec", "status"] {
            if !schema["properties"][part].is_null() {
                walk(&format!("{file}:{part}"), &schema["properties"][part], &mut lacking);
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

fn walk(path: &str, schema: &serde_json::Value, lacking: &mut Vec<String>) {
    let bounded = |key: &str| schema[key].is_u64();
    match schema["type"].as_str() {
        Some("array") if !bounded("maxItems") => lacking.push(format!("{path} has no maxItems")),
        Some("string") if schema["enum"].is_null() && schema["format"].is_null() && !bounded("maxLength") => {
            lacking.push(format!("{path} has no maxLength"));
        }
        Some("object") if schema["additionalProperties"].is_object() && !bounded("maxProperties") => {
            lacking.push(format!("{path} has no maxProperties"));
        }
        _ => {}
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if property["description"].as_str().is_none_or(str::is_empty) {
            lacking.push(format!("{path} has no description"));
        }
        walk(&path, property, lacking);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            walk(&format!("{path}[]"), &schema[key], lacking);
        }
    }
}
