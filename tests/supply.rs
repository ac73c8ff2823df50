//! What is in `Cargo.lock`, held to `config/docs/advisories.md`, and in `Cargo.toml`, held to
//! `config/docs/dependencies.md`. `tests/run --suite supply` asks others: `cargo deny`, and the RustSec database.

const LOCK: &str = include_str!("../Cargo.lock");
const ADVISORIES: &str = include_str!("../config/docs/advisories.md");

const MANIFEST: &str = include_str!("../Cargo.toml");
const DEPENDENCIES: &str = include_str!("../config/docs/dependencies.md");

type Version = [u64; 3];

fn version(text: &str) -> Version {
    let numbers = text.split(['-', '+']).next().unwrap().split('.');
    let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Every package with its version.
fn locked() -> Vec<(&'static str, Version)> {
    let value = |line: &'static str, name: &str| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(" = \"")?.strip_suffix('"')
    };
    let lines: Vec<&str> = LOCK.lines().collect();
    let pairs = lines
        .windows(2)
        .filter_map(|two| Some((value(two[0], "name")?, version(value(two[1], "version")?))));
    pairs.collect()
}

fn floors() -> Vec<(&'static str, Version)> {
    let rows = ADVISORIES
        .lines()
        .filter_map(|line| line.strip_prefix("| "));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    rows.filter(|row| row[0] != "package")
        .map(|row| (row[0], version(row[1])))
        .collect()
}

/// The packages below their floors.
fn below(locked: &[(&'static str, Version)]) -> Vec<String> {
    let mut below = Vec::new();
    for (name, floor) in floors() {
        let found = locked
            .iter()
            .filter(|(known, version)| *known == name && *version < floor);
        below.extend(found.map(|(name, version)| format!("{name} {version:?}, not {floor:?}")));
    }
    below
}

#[test]
fn no_dependency_is_below_its_floor() {
    assert!(locked().len() > 100 && floors().len() > 10);
    for name in ["hyper", "tokio", "libsqlite3-sys"] {
        assert!(locked().iter().any(|(known, _)| *known == name), "{name}");
    }
    assert_eq!(below(&locked()), [""; 0]);
    assert_eq!(below(&[("hyper", [1, 11, 9])]).len(), 1);
}

#[test]
fn what_nobody_maintains_is_not_there() {
    let (_, named) = ADVISORIES.split_once("unsound: ").unwrap();
    let named: Vec<&str> = named
        .trim()
        .trim_end_matches('.')
        .split(',')
        .map(str::trim)
        .collect();
    assert_eq!(named.len(), 7, "{named:?}");
    for (name, _) in locked() {
        assert!(!named.contains(&name), "{name}");
    }
}

/// The packages that a section of the page has a row for, in its order.
fn described(heading: &str) -> Vec<&'static str> {
    let (_, rest) = DEPENDENCIES.split_once(heading).expect(heading);
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let names = rows.map(|row| row.split_once(" | ").expect(row));
    names
        .filter(|(name, _)| *name != "package")
        .map(|(name, what)| {
            assert!(what.len() > 10, "{name}: {what}");
            name
        })
        .collect()
}

/// Nothing is depended on without a reason that stands in the page, and no reason is left behind.
#[test]
fn every_direct_dependency_is_in_the_page_and_no_other() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    for (table, heading) in [
        ("dependencies", "## In the program"),
        ("dev-dependencies", "## In tests and benches alone"),
    ] {
        let table = manifest[table].as_table().unwrap();
        let mut named: Vec<&str> = table.keys().map(String::as_str).collect();
        named.sort_unstable();
        assert_eq!(described(heading), named, "{heading}");
    }
    assert!(!manifest.contains_key("build-dependencies"));
}
