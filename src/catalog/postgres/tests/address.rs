//! URLs of databases.

use super::*;

#[test]
fn good_urls_are_taken_and_show_no_password() {
    let cases = [
        ("postgres://host/db", "postgres://host/db"),
        ("postgres:///db", "postgres:///db"),
        (
            "postgresql://user@host:5433/db",
            "postgresql://user@host:5433/db",
        ),
        (
            "postgres://user:s3cret@host/db",
            "postgres://user:***@host/db",
        ),
        ("postgres://user:@host/db", "postgres://user:***@host/db"),
        (
            "postgres://u:s3cret@h/db?sslmode=verify-full&sslrootcert=/ca.pem",
            "postgres://u:***@h/db?sslmode=verify-full&sslrootcert=/ca.pem",
        ),
        (
            "postgres:///db?host=/run/postgresql&user=u&password=s3cret",
            "postgres:///db?host=/run/postgresql&user=u&password=***",
        ),
    ];
    for (text, shown) in cases {
        let address = Address::parse(text).unwrap();
        assert_eq!(Address::redacted(text), shown);
        assert_eq!(format!("{address:?}"), "Address(..)");
        address.options().unwrap();
    }
}

#[test]
fn bad_urls_are_refused_without_a_word_of_what_is_in_them() {
    let long = format!("postgres://host/{}", "a".repeat(ADDRESS_BYTES_MAX));
    let bad = [
        "",
        "postgres",
        "mysql://host/db",
        "POSTGRES://host/db",
        "postgres://host:s3cret/db",
        "postgres://user:s3cret@host/db?passwrod=s3cret",
        "postgres://user:s3#cret@host/db",
        "postgres://host/db?sslmode=s3cret",
        "postgres://host/db?port=s3cret",
        "postgres://host/db?hostaddr=s3cret",
        &long,
    ];
    for text in bad {
        let why = Address::parse(text).unwrap_err();
        assert!(
            why.starts_with("must ") && !why.contains("s3"),
            "{text}: {why}"
        );
    }
}

#[test]
fn only_a_server_elsewhere_whose_certificate_nobody_checks_is_exposed() {
    let cases = [
        ("postgres://localhost/db", None),
        ("postgres://127.0.0.2/db", None),
        ("postgres://[::1]/db?sslmode=disable", None),
        ("postgres:///db?host=/run/postgresql", None),
        ("postgres://%2Frun%2Fpostgresql/db", None),
        ("postgres://db.example.com/db", Some("prefer")),
        ("postgres://192.0.2.1/db?sslmode=disable", Some("disable")),
        ("postgres://localhost/db?hostaddr=192.0.2.1", Some("prefer")),
        (
            "postgres://[2001:db8::1]/db?sslmode=require",
            Some("require"),
        ),
        ("postgres://db/db?sslmode=allow", Some("allow")),
        ("postgres://db/db?sslmode=verify-ca", None),
        ("postgres://db/db?sslmode=verify-full", None),
    ];
    for (text, by) in cases {
        assert_eq!(Address::parse(text).unwrap().exposed_by(), by, "{text}");
    }
}

#[test]
fn nothing_that_could_be_a_password_is_shown_of_a_bad_url() {
    for text in [
        "postgres://user:s3cret@host@x/db",
        "postgres://u:s3:cret@host",
        "u:s3cret@h",
    ] {
        assert!(!Address::redacted(text).contains("cret"), "{text}");
    }
}
