//! Scripts and pages of other origins.

use crate::support::app::TestApp;

const PATH: &str = "/v1/organizations/org_123/files/file_abc123/download";

#[tokio::test]
async fn every_answer_of_the_byte_route_may_be_read_by_every_origin() {
    let app = TestApp::start().await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    let gone = app.link("file_def456", "").await;
    let delete = "/v1/organizations/org_123/files/file_def456";
    app.client
        .request("DELETE", delete, &[("X-API-Key", "k1")], b"")
        .await;
    for (method, target, header, status) in [
        ("GET", link.as_str(), ("Origin", "https://a.example"), 200),
        ("GET", &link, ("Range", "bytes=0-1"), 206),
        ("GET", &link, ("If-None-Match", "*"), 304),
        ("GET", &link, ("If-Match", "\"x\""), 412),
        ("GET", &link, ("Range", "bytes=99999-"), 416),
        ("GET", PATH, ("Origin", "null"), 401),
        ("GET", &gone, ("Origin", "null"), 404),
        ("POST", &link, ("Origin", "null"), 405),
        ("OPTIONS", PATH, ("Origin", "null"), 204),
    ] {
        let reply = app.client.request(method, target, &[header], b"").await;
        assert_eq!(reply.status, status);
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("*"),
            "{status}"
        );
        assert_eq!(reply.header("timing-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let exposed = reply.header("access-control-expose-headers").unwrap();
        for name in [
            "ETag",
            "Content-Range",
            "Content-Disposition",
            "Accept-Ranges",
            "Repr-Digest",
        ] {
            assert!(exposed.split(", ").any(|known| known == name), "{name}");
        }
    }
    let mint = app
        .client
        .get(&PATH.replace("download", "content"), &[("X-API-Key", "k1")])
        .await;
    assert_eq!(
        mint.header("access-control-allow-origin"),
        None,
        "a mint answers its caller alone"
    );
}

#[tokio::test]
async fn a_preflight_needs_no_link() {
    let app = TestApp::start().await.with_org_123().await;
    let many: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
    let usual = "Range, If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since";
    for (asked, accepted) in [
        ("range", "range".to_owned()),
        ("authorization,x-a", "authorization, x-a".to_owned()),
        ("a b, <x>", usual.to_owned()),
        ("", usual.to_owned()),
        (&many.join(","), many[..20].join(", ")),
    ] {
        let headers = [
            ("Origin", "https://a.example"),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", asked),
        ];
        for path in [PATH.to_owned(), format!("{PATH}/a%20name.png")] {
            let reply = app.client.request("OPTIONS", &path, &headers, b"").await;
            assert_eq!((reply.status, reply.body.len()), (204, 0));
            assert_eq!(
                reply.header("access-control-allow-methods"),
                Some("GET, HEAD")
            );
            let said = reply.header("access-control-allow-headers");
            assert_eq!(said, Some(accepted.as_str()));
            assert_eq!(reply.header("access-control-max-age"), Some("86400"));
            let varies = "Origin, Access-Control-Request-Headers";
            assert_eq!(reply.header("vary"), Some(varies));
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
}

#[tokio::test]
async fn credentials_are_let_in_from_named_origins_alone() {
    let settings = [
        ("cors.origins", "https://a.example"),
        ("cors.credentials", "true"),
    ];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    let dead = link.replace("token=", "token=x");
    for (method, target, status) in [
        ("GET", &link, 200),
        ("GET", &dead, 401),
        ("HEAD", &link, 200),
        ("OPTIONS", &link, 204),
    ] {
        for (origin, allows) in [
            ("https://a.example", Some("true")),
            ("https://b.example", None),
        ] {
            let headers = [("Origin", origin)];
            let reply = app.client.request(method, target, &headers, b"").await;
            assert_eq!(reply.status, status);
            let credentials = reply.header("access-control-allow-credentials");
            assert_eq!(credentials, allows, "{method} {status} {origin}");
            let own = allows.map(|_| origin);
            assert_eq!(reply.header("access-control-allow-origin"), own);
        }
    }
}

#[tokio::test]
async fn a_list_of_origins_lets_those_alone() {
    let settings = [
        ("cors.origins", "https://a.example"),
        ("cors.resource_policy", "same-site"),
    ];
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let link = app.link("file_abc123", "").await;
    for (origin, allowed) in [
        ("https://a.example", Some("https://a.example")),
        ("https://a.example.evil", None),
        ("http://a.example", None),
        ("null", None),
    ] {
        let reply = app.client.get(&link, &[("Origin", origin)]).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        assert_eq!(
            reply.header("vary"),
            Some("Origin"),
            "a cache must keep them apart"
        );
        assert_eq!(
            reply.header("cross-origin-resource-policy"),
            Some("same-site")
        );
    }
}
