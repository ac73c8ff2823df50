//! Tests of the keyring file.

use std::fs;

use super::*;

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn kid(text: &str) -> Kid {
    Kid::parse(text).unwrap()
}

fn random(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first.wrapping_add(u8::try_from(index).unwrap()))
}

fn with_two_keys() -> Keyring {
    let now = UnixSeconds::new(1_779_118_492).unwrap();
    let one = generate(None, kid("one"), random(0), now).unwrap();
    generate(Some(one), kid("two"), random(50), now).unwrap()
}

fn states(keyring: &Keyring) -> Vec<(&str, KeyState, bool)> {
    let keys = keyring.keys().iter();
    keys.map(|key| (key.kid.as_str(), key.state, key.secret.is_some()))
        .collect()
}

#[test]
fn keys_are_generated_rotated_and_retired() {
    use KeyState::{Active, Retired, VerifyOnly};
    let keyring = with_two_keys();
    assert_eq!(
        states(&keyring),
        [("one", Active, true), ("two", VerifyOnly, true)]
    );
    let keyring = rotate(keyring, &kid("two")).unwrap();
    let keyring = rotate(keyring, &kid("two")).unwrap();
    assert_eq!(
        states(&keyring),
        [("one", VerifyOnly, true), ("two", Active, true)]
    );
    let keyring = retire(keyring, &kid("one")).unwrap();
    let keyring = retire(keyring, &kid("one")).unwrap();
    assert_eq!(
        states(&keyring),
        [("one", Retired, false), ("two", Active, true)]
    );
    let read_back = parse(&render(&keyring)).unwrap();
    assert_eq!(states(&read_back), states(&keyring));
    assert_eq!(*render(&read_back), *render(&keyring));

    let now = UnixSeconds::EPOCH;
    let taken = generate(Some(keyring), kid("one"), random(9), now).unwrap_err();
    assert_eq!(
        taken.to_string(),
        "the keyring is not usable: there are two keys one"
    );
}

#[test]
fn changes_that_would_break_links_by_surprise_are_refused() {
    let retired = retire(with_two_keys(), &kid("two")).unwrap();
    let refusals = [
        (
            rotate(retired, &kid("two")),
            "key two is retired and cannot sign again",
        ),
        (rotate(with_two_keys(), &kid("x")), "there is no key x"),
        (retire(with_two_keys(), &kid("x")), "there is no key x"),
        (
            retire(with_two_keys(), &kid("one")),
            "key one is active: rotate to another key first",
        ),
    ];
    for (refusal, message) in refusals {
        assert_eq!(refusal.unwrap_err().to_string(), message);
    }
}

#[test]
fn errors_name_the_key_and_never_show_its_secret() {
    let key = |fields: &str| format!("[[key]]\nkid = \"k1\"\n{fields}");
    let whole = "state = \"active\"\ncreated_at = \"2026-01-01T00:00:00Z\"\n";
    let good = key(&format!("{whole}secret = \"{SECRET}\""));
    parse(&good).unwrap();
    let cases = [
        (String::new(), "the keyring is not usable: no key is active"),
        (
            format!("{good}\nnote = \"x\""),
            "key k1 has a field besides kid, secret, state and created_at",
        ),
        (
            format!("extra = 1\n{good}"),
            "a keyring has [[key]] tables and nothing else",
        ),
        (
            format!("key = \"{SECRET}\""),
            "a keyring has [[key]] tables and nothing else",
        ),
        (format!("key = [\"{SECRET}\"]"), "key number 1 is no table"),
        (
            format!("{good}\n[[key]]\nkid = \"{SECRET}\""),
            "key number 2 has no kid of 1 to 16 letters and digits",
        ),
        (
            key(&format!("{whole}secret = {SECRET}")),
            "line 5 of the keyring is no TOML",
        ),
        (
            key(&format!("{whole}secret = \"{SECRET}")),
            "line 5 of the keyring is no TOML",
        ),
        (
            key(&format!("{whole}secret = \"*{SECRET}\"")),
            "key k1 has a secret that is no base64",
        ),
        (
            key(&format!("{whole}secret = [\"{SECRET}\"]")),
            "key k1 has a secret that is no base64",
        ),
        (
            key(&format!("{whole}secret = \"AAEC\"")),
            "key k1: a secret needs at least 32 bytes, this one has 3",
        ),
        (
            key(&format!("state = \"{SECRET}\"")),
            "key k1 has no state active, verify-only or retired",
        ),
        (
            key(&format!("state = \"active\"\ncreated_at = \"{SECRET}\"")),
            "key k1 has no created_at as in \"2026-05-18T15:34:52Z\"",
        ),
        (
            key(whole),
            "the keyring is not usable: key k1 has no secret",
        ),
    ];
    for (text, message) in cases {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert!(!format!("{error:?}").contains(&SECRET[4..20]), "{text}");
    }
}

#[test]
fn files_come_back_with_their_keys_and_without_access_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.toml");
    let stale = format!("keyring.toml.{}.tmp", std::process::id());
    fs::write(directory.path().join(stale), "left by a crash").unwrap();
    write(&path, &with_two_keys()).unwrap();
    write(&path, &rotate(with_two_keys(), &kid("two")).unwrap()).unwrap();
    assert_eq!(read(&path).unwrap().active(), &kid("two"));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(matches!(refused, KeyringFileError::Exposed { mode: found, .. } if found == mode));
    }
    assert!(matches!(
        read(directory.path()),
        Err(KeyringFileError::NotAKeyringFile { .. })
    ));
    assert!(matches!(
        read(&directory.path().join("missing")),
        Err(KeyringFileError::Io { .. })
    ));
}
