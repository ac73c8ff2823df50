//! HEAD, as a script sends it.

use super::*;
use crate::transport::Pair;

/// A browser speaks HTTP/2 where it can, and reads on where an answer to HEAD goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_asks_by_head_receives_no_body() {
    let pair = Pair::new();
    let (app, tls) = pair.app(&[]).await;
    app.add("file_large", "large.bin", &[7; 1 << 20]).await;
    let link = app.link("file_large", "").await;
    let dead = link.replace("token=", "token=x");
    let bases = [
        (format!("http://{}", app.client.0), "http/1.1"),
        (format!("https://{tls}"), "h2"),
    ];
    let (none, news) = (json!({}), json!({ "If-None-Match": "*" }));
    let cases = [
        (&link, &none, 200, Some("1048576")),
        (&link, &news, 304, None),
        (&dead, &none, 401, None),
    ];
    for (base, protocol) in &bases {
        let requests =
            cases.map(|(target, headers, ..)| json!([format!("{base}{target}"), headers]));
        let asked = json!({ "url": page("").await, "requests": requests });
        let seen = play("head", asked).await;
        for ((_, _, status, length), seen) in cases.iter().zip(seen.as_array().unwrap()) {
            assert_eq!(seen["status"], *status, "{seen}");
            assert!(
                length.is_none_or(|length| seen["length"] == length),
                "{seen}"
            );
            assert_eq!(
                (&seen["text"], &seen["body"]),
                (&json!(0), &json!(0)),
                "{seen}"
            );
            assert_eq!(seen["protocol"], *protocol, "{seen}");
        }
    }
}
