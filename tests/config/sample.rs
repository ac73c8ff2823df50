//! `config/hallpass.toml` says what the program does.

use std::collections::BTreeSet;

use hallpass::config::{KEYS, SAMPLE};

use super::{Given, values};

/// The sample with every setting switched on: prose begins with `# `, a setting with `#` alone.
fn uncommented() -> String {
    let setting = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    };
    let lines: Vec<&str> = SAMPLE.lines().map(setting).collect();
    lines.join("\n")
}

#[test]
fn the_sample_changes_nothing_as_it_is_and_with_every_line_uncommented() {
    let default = values(&Given::default().loaded());
    assert_eq!(values(&Given::default().file(SAMPLE).loaded()), default);
    assert_eq!(
        values(&Given::default().file(uncommented()).loaded()),
        default
    );
}

#[test]
fn the_sample_has_every_key_once_and_no_other() {
    let table: toml::Table = uncommented().parse().unwrap();
    let keys = table.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().unwrap().keys();
        keys.map(move |key| format!("{section}.{key}"))
    });
    let sample: BTreeSet<String> = keys.collect();
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(sample, known);
    let as_it_is: toml::Table = SAMPLE.parse().unwrap();
    assert!(
        as_it_is
            .values()
            .all(|section| section.as_table().unwrap().is_empty())
    );
}

#[test]
fn every_setting_of_the_sample_is_explained_above_it() {
    let lines: Vec<&str> = SAMPLE.lines().collect();
    for pair in lines.windows(2) {
        let is_setting = pair[1].starts_with('#') && !pair[1].starts_with("# ") && pair[1] != "#";
        assert!(!is_setting || pair[0].starts_with("# "), "{}", pair[1]);
    }
}

#[test]
fn every_key_says_what_it_is_and_has_a_variable_of_its_own() {
    let variables: BTreeSet<String> = KEYS.iter().map(|key| key.variable()).collect();
    assert_eq!(variables.len(), KEYS.len());
    for key in KEYS {
        assert!(
            key.doc.ends_with('.') && !key.doc.starts_with(' '),
            "{}",
            key.name
        );
    }
    assert_eq!(KEYS[0].variable(), "HALLPASS_SERVER_LISTEN");
}
