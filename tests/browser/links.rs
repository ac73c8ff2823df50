//! Links that stand in HTML which nobody escaped.

use std::io::Write as _;
use std::process::Command;

use hallpass::gateway::upload::NewFile;
use hallpass::model::file::Purpose;

use super::*;
use crate::support::app::{PNG, T0, TestApp, new_file, target};

/// Python's own parser of HTML: what it takes for the links of a page, and for their texts.
const PYTHON: &str = r#"
import html.parser, json, sys

class Links(html.parser.HTMLParser):
    seen = {"hrefs": [], "texts": []}
    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.seen["hrefs"].append(dict(attributes)["href"])
            self.seen["texts"].append("")
    def handle_data(self, text):
        if self.seen["texts"]:
            self.seen["texts"][-1] += text

parser = Links()
parser.feed(sys.stdin.read())
parser.close()
print(json.dumps(parser.seen))
"#;

/// The options that are signed as claims.
const OPTIONS: [(&str, &str); 4] = [
    ("not_before", "1779118492"),
    ("ip", "127.0.0.1"),
    ("content_type", "text/plain"),
    ("filename", "a&not=b.txt"),
];

/// The links of every API dialect, with every combination of claims.
async fn minted(app: &TestApp) -> Vec<String> {
    let mut links = Vec::new();
    for combination in 0..1_u32 << OPTIONS.len() {
        let chosen = (0..).zip(OPTIONS);
        let chosen = chosen.filter(|(bit, _)| combination >> bit & 1 == 1);
        let chosen: Vec<(&str, &str)> = chosen.map(|(_, option)| option).collect();
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", value.replace('&', "%26"));
        let query: Vec<String> = chosen.iter().map(pair).collect();
        let query = query.join("&");

        let said = app.mint("file_tool", &query).await;
        links.push(said["download_url"].as_str().unwrap().to_owned());

        let bearer = [("Authorization", "Bearer k1")];
        let path = format!("/v1/files/file_tool/content?{query}");
        let said = app.client.get(&path, &bearer).await;
        links.push(said.header("location").unwrap().to_owned());

        let mut body = json!({ "containerId": "space_default", "fileIds": ["file_tool"] });
        for (name, value) in chosen {
            let number = value.parse::<u64>().map(Value::from);
            body[name] = number.unwrap_or_else(|_| value.into());
        }
        let headers = [
            ("Authorization", "Bearer k1"),
            ("X-User-Id", "1"),
            ("X-Date", "20260518T153452Z"),
        ];
        let (path, body) = ("/koodrive/ose/v1/files/download", body.to_string());
        let said = app.client.request("POST", path, &headers, body.as_bytes());
        let said = said.await.json();
        links.push(said["downloads"][0]["url"].as_str().unwrap().to_owned());
    }
    links
}

fn read_by_python(html: &str) -> Value {
    let mut python = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut page = python.stdin.take().unwrap();
    page.write_all(html.as_bytes()).unwrap();
    drop(page);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_any_claims_survives_html_that_nobody_escaped() {
    assert_eq!(OPTIONS[0].1, T0.to_string());
    let app = TestApp::start().await.with_org_123().await;
    let tool = NewFile {
        purpose: Purpose::ToolOutput,
        ..new_file("org_123", "file_tool", "report.png")
    };
    app.put(tool, PNG).await;
    let links = minted(&app).await;
    let html: String = links
        .iter()
        .map(|link| format!("<p><a href=\"{link}\">{link}</a>"))
        .collect();
    let by_chromium = play("links", json!({ "url": page(&html).await })).await;
    for seen in [by_chromium, read_by_python(&html)] {
        assert_eq!(seen["hrefs"], json!(links));
        assert_eq!(seen["texts"], json!(links));
    }
    assert_eq!(links.len(), 48);
    for link in links {
        assert_eq!(app.client.get(&target(&link), &[]).await.status, 200);
    }
}
