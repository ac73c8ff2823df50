//! The corpus of the fuzzer, replayed without one.

mod cases;

use std::fs;
use std::path::Path;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn what_must_hold_for_any_bytes_holds_for_the_corpus() {
    for (name, case) in cases::ALL {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name}");
        println!("{name}: {} inputs", corpus.len());
        corpus.iter().for_each(|input| case(input));
        // And for each of them without its end, and with one byte another.
        for input in &corpus {
            for at in 0..input.len().min(400) {
                case(&input[..at]);
                let mut changed = input.clone();
                changed[at] ^= 1 << (at % 8);
                case(&changed);
            }
        }
    }
}

#[test]
fn the_corpus_has_a_link_that_opens() {
    let (_, _, link) = cases::good_link();
    assert!(
        corpus("links").contains(&link.clone().into_bytes()),
        "{link}"
    );
}
