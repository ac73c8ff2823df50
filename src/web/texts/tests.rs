//! The table of texts, held against itself.

use super::*;

/// The texts of a language by what they are, as its constant prints them.
fn fields(language: Language) -> Vec<(String, String)> {
    let printed = format!("{:#?}", language.texts());
    let mut fields = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    for line in printed.lines().map(str::trim) {
        match line.split_once(": ") {
            Some((name, "Plural {" | "Message {" | "[")) => path.push(name),
            Some((name, value)) if !line.starts_with('"') => {
                let name = [path.as_slice(), &[name]].concat().join(".");
                fields.push((name, value.trim_end_matches(',').to_owned()));
            }
            _ if line.starts_with('}') || line.starts_with(']') => {
                path.pop();
            }
            _ => {}
        }
    }
    fields
}

#[test]
fn every_text_takes_the_same_values_in_each_language_and_is_not_empty() {
    let english = fields(Language::English);
    assert!(english.len() > 70, "{english:?}");
    for language in Language::ALL {
        let texts = fields(language);
        assert_eq!(texts.len(), english.len());
        for ((name, text), (_, in_english)) in texts.iter().zip(&english) {
            let values = |text: &str| text.matches("{}").count();
            assert_eq!(values(text), values(in_english), "{name} in {language:?}");
            assert!(text.len() > 2, "{name} in {language:?} is empty");
            for part in ["{day}", "{month}", "{year}", "{time}"] {
                assert_eq!(text.contains(part), in_english.contains(part), "{name}");
            }
        }
    }
}

#[test]
fn no_text_was_left_in_english() {
    let english = fields(Language::English);
    // Names, numbers and words that are the same in both.
    let shared = ["decimal", "thousands", "name", "total_of"];
    for language in [Language::Japanese, Language::Chinese, Language::German] {
        for ((name, text), (_, in_english)) in fields(language).iter().zip(&english) {
            let is_shared = shared.contains(&name.as_str()) || name.starts_with("download_count");
            assert!(
                is_shared || text != in_english,
                "{name} in {language:?}: {text}"
            );
        }
    }
}
