//! Signing keys, API keys, and what belongs to an organization.

use std::fs;

use rustix::process::geteuid;

use super::support::{AS_NOBODY, Place, mode, set_mode, text};

#[test]
fn key_generate_makes_the_first_key_active_and_later_ones_verify_only() {
    let place = Place::new();
    let first = place.json(&["key", "generate"]);
    assert_eq!(first["state"], "active");
    assert_eq!(mode(&place.data("keyring.toml")), 0o600);
    assert_eq!(
        place.json(&["organization", "list"])[0]["organization_id"],
        "org_default"
    );
    let second = place.json(&["key", "generate"]);
    assert_eq!(second["state"], "verify-only");
    let kid = text(&second, "kid");
    let rotated = place.json(&["key", "rotate", "--to", &kid]);
    assert_eq!(rotated, serde_json::json!({"kid": kid, "state": "active"}));
    assert!(place.bad(1, &["key", "retire", &kid]).contains("active"));
    let retired = place.json(&["key", "retire", &text(&first, "kid")]);
    assert_eq!(retired["state"], "retired");
    place.bad(1, &["key", "rotate", "--to", &text(&first, "kid")]);
    place.bad(1, &["key", "retire", "unknown"]);
    place.bad(2, &["key", "retire", "no-kid"]);
    let listed = place.json(&["key", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["state"], "retired");
    text(&listed[1], "created_at");
    let printed = place.good(&["key", "list"]);
    let keyring = fs::read_to_string(place.data("keyring.toml")).unwrap();
    let secret = keyring.split("secret = \"").nth(1).unwrap();
    assert!(!printed.contains(&secret[..20]));
}

#[test]
fn of_keys_that_are_made_at_once_none_is_lost() {
    let place = Place::new();
    let children: Vec<_> = (0..12)
        .map(|_| place.command(&["key", "generate"]).spawn().unwrap())
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", super::support::said(&output));
    }
    assert_eq!(place.json(&["key", "list"]).as_array().unwrap().len(), 12);
}

#[test]
fn keys_from_the_environment_can_be_used_and_not_changed() {
    let place = Place::new();
    let file = place.add("a.txt", b"bytes");
    let keyring = fs::read_to_string(place.data("keyring.toml")).unwrap();
    for words in [
        &["key", "generate"][..],
        &["key", "rotate"],
        &["key", "retire", "x"],
    ] {
        let output = place
            .command(words)
            .env("HALLPASS_KEYRING", &keyring)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("HALLPASS_KEYRING")
        );
    }
    fs::remove_file(place.data("keyring.toml")).unwrap();
    for words in [&["key", "list"][..], &["sign", "--file", &file]] {
        let output = place
            .command(words)
            .env("HALLPASS_KEYRING", &keyring)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", super::support::said(&output));
    }
}

#[test]
fn api_keys_are_printed_once_and_listed_without_their_text() {
    let place = Place::new();
    let words = [
        "apikey",
        "create",
        "--name",
        "robot",
        "--scope",
        "read",
        "--scope",
        "mint",
        "--expires-in",
        "30d",
    ];
    let made = place.json(&words);
    let api_key = text(&made, "api_key");
    assert!(
        api_key.starts_with("hp_") && api_key.len() == 46,
        "{api_key}"
    );
    assert_eq!(made["scopes"], serde_json::json!(["read", "mint"]));
    assert!(text(&made, "expires_at").ends_with('Z'));
    let id = text(&made, "api_key_id");
    for (word, state) in [
        ("pause", "paused"),
        ("resume", "active"),
        ("deactivate", "deactivated"),
    ] {
        assert_eq!(place.json(&["apikey", word, &id])["state"], state);
    }
    assert!(
        place
            .bad(1, &["apikey", "resume", &id])
            .contains("stays so")
    );
    place.bad(1, &["apikey", "pause", "key_missing"]);
    let listed = place.good(&["apikey", "list", "--json"]);
    assert!(!listed.contains(&api_key[3..]), "{listed}");
    assert!(listed.contains(r#""state":"deactivated""#), "{listed}");
    let usual = place.json(&["apikey", "create"]);
    assert_eq!(
        usual["scopes"],
        serde_json::json!(["read", "mint", "write"])
    );
    assert!(usual["expires_at"].is_null());
    place.bad(2, &["apikey", "create", "--scope", "fly"]);
    place.bad(1, &["apikey", "create", "--organization", "org_missing"]);
}

#[test]
fn an_app_comes_with_a_key_and_shows_its_secret_once() {
    let place = Place::new();
    let made = place.json(&["apikey", "create", "--app"]);
    let (id, secret) = (text(&made, "app_id"), text(&made, "app_secret"));
    assert!(id.starts_with("app_") && id.len() == 36, "{id}");
    assert_eq!(secret.len(), 43, "{secret}");
    let listed = place.good(&["apikey", "list", "--json"]);
    assert!(
        listed.contains(&id) && !listed.contains(&secret),
        "{listed}"
    );

    place.file("secret", b"example-app-secret\n");
    let own = ["apikey", "create", "--app", "--app-secret-file", "secret"];
    assert_eq!(place.json(&own)["app_secret"], "example-app-secret");
    let keys = |place: &Place| place.good(&["apikey", "list"]).lines().count();
    let before = keys(&place);
    place.file("secret", b"two words");
    let errors = place.bad(1, &own);
    assert!(!errors.contains("two words"), "{errors}");
    assert_eq!(keys(&place), before, "no key without its app");
    place.bad(2, &["apikey", "create", "--app-secret-file", "secret"]);

    let plain = place.json(&["apikey", "create"]);
    assert_eq!(plain.get("app_id"), None);
}

#[test]
fn an_api_key_can_be_brought_in_a_file_and_never_stands_in_an_argument() {
    let place = Place::new();
    place.file("key", b"my-own-key-0123456789\n");
    let made = place.json(&["apikey", "create", "--api-key-file", "key"]);
    assert_eq!(made["api_key"], "my-own-key-0123456789");
    let errors = place.bad(1, &["apikey", "create", "--api-key-file", "key"]);
    assert!(!errors.contains("my-own-key"), "{errors}");
    place.bad(2, &["apikey", "create", "--api-key", "x"]);

    let mut serve = place.serve();
    serve.url();
    let arguments = fs::read(format!("/proc/{}/cmdline", serve.pid())).unwrap();
    let arguments = String::from_utf8(arguments).unwrap();
    assert!(arguments.contains("serve"));
    assert!(!arguments.contains("my-own-key"), "{arguments}");
}

/// Its memory holds the signing keys, and its environment may (prctl(2), PR_SET_DUMPABLE). Root, as which some run the
/// tests, may look all the same: so the gateway and who looks are one other user.
#[test]
fn another_process_of_the_same_user_cannot_look_into_a_gateway() {
    let place = Place::new();
    set_mode(&place.path(""), 0o777);
    let user: &[&str] = match geteuid().is_root() {
        true => &AS_NOBODY,
        false => &["env"],
    };
    let mut serve = place.start_under(user, &["serve", "--listen", "127.0.0.1:0"]);
    serve.url();
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", serve.pid());
        let mut command = std::process::Command::new(user[0]);
        let output = command
            .args(&user[1..])
            .args(["head", "-c1", &path])
            .output();
        output.unwrap().status.success()
    };
    assert!(read("cmdline"), "it runs");
    assert!(!read("environ") && !read("maps"));
}

#[test]
fn organizations_spaces_and_folders_are_made_and_listed() {
    let place = Place::new();
    let made = place.json(&["organization", "create", "--id", "acme", "--name", "Acme"]);
    assert_eq!(
        made,
        serde_json::json!({"organization_id": "acme", "name": "Acme"})
    );
    place.bad(1, &["organization", "create", "--id", "acme"]);
    place.bad(1, &["organization", "create", "--name", "a\nb"]);
    place.good(&["organization", "create"]);
    assert_eq!(
        place
            .json(&["organization", "list"])
            .as_array()
            .unwrap()
            .len(),
        3
    );

    let words = [
        "space",
        "create",
        "--organization",
        "acme",
        "--id",
        "s",
        "--name",
        "S",
    ];
    let space = place.json(&words);
    let expected = serde_json::json!({"organization_id": "acme", "space_id": "s", "name": "S"});
    assert_eq!(space, expected);
    let spaces = place.json(&["space", "list", "--organization", "acme"]);
    assert_eq!(spaces.as_array().unwrap().len(), 2);
    place.bad(1, &["space", "list", "--organization", "missing"]);

    let file = place.add("a.txt", b"bytes");
    let words = [
        "folder", "create", "--id", "f", "--name", "F", "--member", "acme",
    ];
    let folder = place.json(&words);
    assert_eq!(folder["folder_id"], "f");
    assert_eq!(folder["members"], serde_json::json!(["acme"]));
    assert_eq!(place.json(&["folder", "add", "f", &file])["folder_id"], "f");
    place.bad(1, &["folder", "add", "f", "file_missing"]);
    place.bad(1, &["folder", "add", "missing", &file]);
    place.good(&["folder", "remove", "f", &file]);
    let unshared = place.json(&["folder", "unshare", "f", "acme"]);
    assert_eq!(unshared["members"], serde_json::json!([]));
    place.good(&["folder", "share", "f", "acme"]);
    place.bad(1, &["folder", "share", "f", "missing"]);
    assert_eq!(place.json(&["folder", "list"]), serde_json::json!([folder]));
}
