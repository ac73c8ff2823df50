//! Bad input of every kind, and what it costs: no hash, no start, no word of the share.

use super::{
    FORM, HTML, counted, counts, from, lock, look, of, post, share, start, start_with, text,
};

#[tokio::test]
async fn codes_of_other_shapes_are_dead_links() {
    let app = start().await;
    let shared = share(&app, of(&["file_big"])).await;
    let code = shared.code();
    let swapped: String = code
        .chars()
        .map(|c| match c.is_ascii_lowercase() {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        })
        .collect();
    let encoded = format!("%{:02x}{}", code.as_bytes()[0], &code[1..]);
    for bad in [
        &code[1..],
        &format!("{code}0"),
        &swapped,
        &encoded,
        "x",
        "%00",
        "é",
    ] {
        let bad = bad.replace('é', "%C3%A9");
        for rest in ["", "/qr.svg", "/files/1/x", "/tickets/k.1.r.m/x"] {
            let path = format!("/s/{bad}{rest}");
            app.client.get(&path, &[]).await.is_dead_link();
            let page = app.client.get(&path, &[HTML]).await;
            assert_eq!(page.status, 401, "{path}");
            assert!(text(&page).contains("This link does not open"));
        }
        let path = format!("/s/{bad}/open");
        app.client
            .request("POST", &path, &[FORM], b"start=1")
            .await
            .is_dead_link();
    }
    for path in [
        "/s",
        "/s/",
        &shared.at("/"),
        &shared.at("/open/"),
        &shared.at("/x"),
    ] {
        app.client.get(path, &[]).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn forms_that_are_none_start_nothing_and_cost_no_hash() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 5)).await;
    lock(&app, &shared, "correct horse").await;
    let long = format!("password=correct+horse&start=1&x={}", "a".repeat(5_000));
    for bad in [
        long.as_str(),
        "password=correct+horse&password=correct+horse&start=1",
        "password=correct+horse&start=1&start=1",
        "password=correct+horse&start=yes",
        "password=correct+horse&start=1&n=x",
        "password=%ff&start=1",
    ] {
        let reply = post(&app, &shared, "192.0.2.1", &[], bad).await;
        reply.refused(400, "BAD_REQUEST");
    }
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let headers: Vec<_> = [&from("192.0.2.1")[..], &[("Content-Type", kind)]].concat();
        let form = b"password=correct+horse&start=1";
        let reply = app
            .client
            .request("POST", &shared.at("/open"), &headers, form)
            .await;
        reply.refused(400, "BAD_REQUEST");
    }
    let longest = format!("password={}", "x".repeat(129));
    for unfit in ["password=", "password=a%00b", &longest] {
        for _ in 0..9 {
            let reply = post(&app, &shared, "192.0.2.1", &[], unfit).await;
            assert_eq!(reply.status, 401, "{unfit}");
        }
    }
    let page = post(&app, &shared, "192.0.2.1", &[HTML], &longest).await;
    assert!(text(&page).contains("This is not the password."));
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open), (0, 0));
    // None of them was a guess: the right one is let in.
    let right = post(
        &app,
        &shared,
        "192.0.2.1",
        &[],
        "password=correct+horse&start=1",
    )
    .await;
    assert_eq!(right.status, 303);
}

#[tokio::test]
async fn passwords_of_1_and_128_bytes_are_good() {
    let app = start().await;
    for password in ["x".to_owned(), "é".repeat(64)] {
        let shared = share(&app, of(&["file_big"])).await;
        lock(&app, &shared, &password).await;
        let form = format!("password={}", password.replace('é', "%C3%A9"));
        assert_eq!(
            post(&app, &shared, "192.0.2.1", &[], &form).await.status,
            303
        );
    }
}

#[tokio::test]
async fn each_part_has_its_methods() {
    let app = start().await;
    let shared = share(&app, of(&["file_big"])).await;
    for (path, allowed) in [
        ("", "GET, HEAD"),
        ("/qr.svg", "GET, HEAD"),
        ("/open", "POST"),
        ("/files/1/x", "GET, HEAD, OPTIONS"),
        ("/tickets/t/x", "GET, HEAD, OPTIONS"),
    ] {
        for method in ["PUT", "PATCH", "DELETE", "GET", "POST"] {
            if allowed.contains(method) {
                continue;
            }
            let reply = app.client.request(method, &shared.at(path), &[], b"").await;
            reply.refused(405, "METHOD_NOT_ALLOWED");
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn bad_tickets_are_dead_links() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 5)).await;
    let reply = post(&app, &shared, "192.0.2.1", &[], "start=1").await;
    let ticket = reply.header("location").unwrap().to_owned();
    let segment = ticket.split('/').nth(4).unwrap();
    let parts: Vec<&str> = segment.split('.').collect();
    let [kid, expires, rid, mac] = parts.as_slice() else {
        panic!("{segment}")
    };
    let later: u64 = expires.parse::<u64>().unwrap() + 1;
    for bad in [
        format!("{kid}.{expires}.{}.{mac}", &rid[1..]),
        format!("{kid}.{expires}.{rid}0.{mac}"),
        format!("{kid}.{later}.{rid}.{mac}"),
        format!("{kid}.{expires}.{rid}.{}", &mac[1..]),
        format!("{kid}x.{expires}.{rid}.{mac}"),
        format!("{segment}."),
    ] {
        let path = shared.at(&format!("/tickets/{bad}/x"));
        app.client.get(&path, &[]).await.is_dead_link();
    }
    let post = app.client.request("POST", &ticket, &[], b"").await;
    post.refused(405, "METHOD_NOT_ALLOWED");
}

/// A client that tries codes is slowed down as one that tries anything else.
#[tokio::test]
async fn unknown_codes_count_as_requests_of_their_address() {
    let app = start_with(&[("limits.address_requests_per_minute", "5")]).await;
    let shared = share(&app, of(&["file_big"])).await;
    for number in 0..5 {
        let path = format!("/s/{number:022}");
        app.client
            .get(&path, &from("192.0.2.1"))
            .await
            .is_dead_link();
    }
    let path = format!("/s/{:022}", 6);
    let reply = app.client.get(&path, &from("192.0.2.1")).await;
    reply.refused(429, "RATE_LIMITED");
    assert_eq!(look(&app, &shared, &from("192.0.2.2")).await.status, 200);
}
