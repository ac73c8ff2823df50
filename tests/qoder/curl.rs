//! The vendor's own commands, with our address and our token.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::*;

/// Runs a shell script. `$BASE` is where the gateway has the API.
async fn shell(app: &TestApp, script: &str) -> Output {
    let mut command = Command::new("sh");
    command
        .args(["-euc", script])
        .env("BASE", format!("http://{}/api/v1/cloud", app.client.0))
        .env("QODER_PAT", "pt-a")
        .current_dir(directory(app));
    // Not on this thread: the gateway runs on it.
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().expect("sh runs")
}

fn directory(app: &TestApp) -> PathBuf {
    app.directory.path().to_owned()
}

#[tokio::test]
async fn c05_curl_follows_the_redirect_and_saves_the_file() {
    let app = fixture().await;
    let script = format!(
        "curl -sS -L -o output.txt \
           -X GET \"$BASE/files/{F1}/content\" \
           -H \"Authorization: Bearer $QODER_PAT\""
    );
    let output = shell(&app, &script).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        std::fs::read(directory(&app).join("output.txt")).unwrap(),
        F1_BYTES
    );

    // Without -L: the URL itself.
    let script = format!(
        "curl -sS -X GET \"$BASE/files/{F1}/content\" -H \"Authorization: Bearer $QODER_PAT\""
    );
    let said: Value = serde_json::from_slice(&shell(&app, &script).await.stdout).unwrap();
    assert_eq!(said["expires_at"], "2026-05-18T16:34:52Z");
}

#[tokio::test]
async fn curl_lists_files_as_the_vendor_shows() {
    let app = accounts().await;
    add_report(&app).await;
    for query in [
        "",
        "?purpose=session_resource&limit=10",
        "?limit=10&before=file_019e3bb8e6c47d17",
    ] {
        let script = format!(
            "curl -sS -X GET \"$BASE/files{query}\" -H \"Authorization: Bearer $QODER_PAT\""
        );
        let output = shell(&app, &script).await;
        let page = String::from_utf8(output.stdout).unwrap();
        assert_eq!(page, golden!("report_alone"), "{query}");
    }
    let after = "curl -sS -X GET \"$BASE/files?limit=10&after=file_019e3bb8e6c47d18\" \
                   -H \"Authorization: Bearer $QODER_PAT\"";
    let output = shell(&app, after).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), golden!("empty"));
}
