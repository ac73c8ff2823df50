//! The password: who is let in, for how long, and how often one may guess.

use hallpass::catalog::shares::ShareEdit;
use hallpass::gateway::limits::{GUESSES_FOR_NEWCOMERS, GUESSES_PER_HOUR};
use hallpass::model::time::UnixSeconds;

use super::{
    HTML, SIZE, Shared, at_second, cookie, counted, counts, edit, forget, from, lock, look, of,
    organization, post, sent_on, share, start, text,
};
use crate::support::app::{T0, TestApp};

/// A share of the large file with the password `correct horse`.
async fn locked(app: &TestApp) -> Shared {
    let shared = share(app, of(&["file_big"])).await;
    lock(app, &shared, "correct horse").await;
    shared
}

const RIGHT: &str = "password=correct+horse";

#[tokio::test]
async fn the_right_password_sets_a_pass_and_leads_to_the_files() {
    let app = start().await;
    let shared = locked(&app).await;
    let reply = post(&app, &shared, "192.0.2.1", &[HTML], RIGHT).await;
    assert_eq!(sent_on(&reply), shared.page);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let line = reply.header("set-cookie").unwrap();
    let end = format!(
        "; Path={}; HttpOnly; SameSite=Lax; Max-Age=3600",
        shared.page
    );
    assert!(
        line.starts_with("hallpass-share=") && line.ends_with(&end),
        "{line}"
    );
    let pass = cookie(&reply);
    let html = text(&look(&app, &shared, &[("Cookie", &pass)]).await);
    assert!(html.contains("<bdi>big file.bin</bdi>"), "{html}");
    assert!(
        html.contains("<input type=\"hidden\" name=\"n\" value=\"1\">"),
        "{html}"
    );
    assert!(!html.contains("/files/"), "no bytes but by a start: {html}");
    // For an hour, and not longer.
    at_second(&app, 3_599).await;
    let html = text(&look(&app, &shared, &[("Cookie", &pass)]).await);
    assert!(html.contains("big file.bin"));
    at_second(&app, 3_600).await;
    let html = text(&look(&app, &shared, &[("Cookie", &pass)]).await);
    assert!(html.contains("<label for=\"password\">"), "{html}");
}

#[tokio::test]
async fn a_wrong_password_is_said_on_the_page_and_to_programs() {
    let app = start().await;
    let shared = locked(&app).await;
    let page = post(&app, &shared, "192.0.2.1", &[HTML], "password=wrong").await;
    assert_eq!((page.status, page.header("set-cookie")), (401, None));
    let html = text(&page);
    for part in [
        "role=\"alert\"",
        "aria-invalid=\"true\" aria-describedby=\"fault\"",
        "This is not the password.",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(
        !html.contains("wrong"),
        "what was sent is not repeated: {html}"
    );
    post(&app, &shared, "192.0.2.1", &[], "password=wrong")
        .await
        .refused(401, "PASSWORD_INVALID");
    post(&app, &shared, "192.0.2.1", &[], "start=1")
        .await
        .refused(401, "PASSWORD_REQUIRED");
    let failed = guesses(&app, &shared).await;
    assert_eq!(failed, 2, "one that gives none makes no guess");
}

async fn guesses(app: &TestApp, shared: &Shared) -> u64 {
    let catalogue = app.catalogue_from_outside().await;
    let now = UnixSeconds::new(T0).unwrap();
    catalogue
        .guesses(&organization(), &shared.id, now)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pass_is_of_one_share_and_of_one_password() {
    let app = start().await;
    let (one, other) = (locked(&app).await, locked(&app).await);
    let pass = cookie(&post(&app, &one, "192.0.2.1", &[], RIGHT).await);
    let is_let_in = async |of: &Shared, cookie: &str| {
        let html = text(&look(&app, of, &[("Cookie", cookie)]).await);
        html.contains("big file.bin")
    };
    assert!(is_let_in(&one, &pass).await);
    assert!(!is_let_in(&other, &pass).await, "another share");
    let bare = pass.split_once('=').unwrap().1;
    let flipped: String = pass.chars().rev().collect();
    for bad in [
        format!("hallpass-share={}", &bare[..bare.len() - 1]),
        format!("hallpass-share={bare}{}", "A".repeat(1_024)),
        format!("Hallpass-Share={bare}"),
        format!("hallpass-client={bare}"),
        flipped,
    ] {
        assert!(!is_let_in(&one, &bad).await, "{bad}");
    }
    // Among so many of the name, and not behind more.
    let many = |before: usize| "hallpass-share=x; ".repeat(before) + &pass;
    assert!(is_let_in(&one, &many(7)).await);
    assert!(!is_let_in(&one, &many(30)).await);
    // The same password, given anew, is another one.
    lock(&app, &one, "correct horse").await;
    assert!(!is_let_in(&one, &pass).await, "an earlier password");
    let none = ShareEdit {
        password: Some(None),
        ..ShareEdit::default()
    };
    edit(&app, &one, none).await;
    assert!(is_let_in(&one, "").await, "no password");
}

#[tokio::test]
async fn a_network_guesses_five_times_and_then_once_a_minute() {
    let app = start().await;
    let shared = locked(&app).await;
    for _ in 0..5 {
        let reply = post(&app, &shared, "192.0.2.1", &[], "password=wrong").await;
        assert_eq!(reply.status, 401);
    }
    for form in ["password=wrong", RIGHT] {
        let reply = post(&app, &shared, "192.0.2.1", &[], form).await;
        let error = reply.refused(429, "RATE_LIMITED");
        assert!(
            error["system_message"]
                .as_str()
                .unwrap()
                .contains("guesses"),
            "{error}"
        );
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    let page = post(&app, &shared, "192.0.2.1", &[HTML], RIGHT).await;
    assert!(text(&page).contains("Please wait a moment"));
    assert_eq!(
        guesses(&app, &shared).await,
        5,
        "what is refused is no guess"
    );
    // Another network goes on, and so does another share.
    let pass = post(&app, &shared, "192.0.2.2", &[], RIGHT).await;
    assert_eq!(pass.status, 303);
    let other = locked(&app).await;
    assert_eq!(
        post(&app, &other, "192.0.2.1", &[], RIGHT).await.status,
        303
    );
    // Reading the page resets nothing.
    look(&app, &shared, &from("192.0.2.1")).await;
    assert_eq!(
        post(&app, &shared, "192.0.2.1", &[], RIGHT).await.status,
        429
    );
}

/// Whoever guesses cannot keep out who was let in before.
#[tokio::test]
async fn who_has_a_pass_goes_on_whatever_others_guess() {
    let app = start().await;
    let shared = locked(&app).await;
    let pass = cookie(&post(&app, &shared, "192.0.2.1", &[], RIGHT).await);
    let mut refused = false;
    for number in 0..200 {
        let client = format!("198.51.{number}.1");
        let reply = post(&app, &shared, &client, &[], "password=wrong").await;
        refused |= reply.status == 429;
    }
    assert!(refused, "sixty at once of one share");
    let sent = [("Cookie", pass.as_str())];
    let html = text(&look(&app, &shared, &sent).await);
    assert!(html.contains("big file.bin"));
    for form in ["start=1", "start=1&password=wrong", RIGHT] {
        let reply = post(&app, &shared, "192.0.2.1", &sent, form).await;
        assert_eq!(reply.status, 303, "{form}");
    }
}

/// Over all gateways, and the last of them for those who come from elsewhere.
#[tokio::test]
async fn so_many_fail_within_an_hour_and_the_last_are_for_newcomers() {
    let app = start().await;
    let shared = locked(&app).await;
    let catalogue = app.catalogue_from_outside().await;
    let now = UnixSeconds::new(T0).unwrap();
    let add = async |count: u64| {
        for _ in 0..count {
            catalogue
                .add_guess(&organization(), &shared.id, now)
                .await
                .unwrap();
        }
    };
    let wrong = async |client: &str| {
        let reply = post(&app, &shared, client, &[], "password=wrong").await;
        reply.status
    };
    assert_eq!(wrong("192.0.2.1").await, 401);
    add(GUESSES_PER_HOUR - GUESSES_FOR_NEWCOMERS - 1).await;
    assert_eq!(wrong("192.0.2.1").await, 429, "it has guessed");
    assert_eq!(wrong("192.0.2.200").await, 429, "so has its network");
    assert_eq!(wrong("192.0.3.1").await, 401, "a newcomer");
    assert_eq!(wrong("192.0.3.1").await, 429, "it was one");
    let right = post(&app, &shared, "2001:db8::1", &[], RIGHT).await;
    assert_eq!(right.status, 303, "a newcomer who knows it");
    add(GUESSES_FOR_NEWCOMERS - 1).await;
    assert_eq!(wrong("198.51.100.1").await, 429, "no more in this hour");
    let right = post(&app, &shared, "198.51.100.2", &[], RIGHT).await;
    assert_eq!(right.status, 429, "nor of the right one");
    at_second(&app, 3_600).await;
    assert_eq!(wrong("198.51.100.1").await, 401);
}

/// An expired share is not there: nobody guesses at it.
#[tokio::test]
async fn a_share_that_is_over_is_no_guess() {
    let app = start().await;
    let shared = locked(&app).await;
    let end = ShareEdit {
        expires: Some(UnixSeconds::new(T0 + 10)),
        ..ShareEdit::default()
    };
    edit(&app, &shared, end).await;
    at_second(&app, 10).await;
    post(&app, &shared, "192.0.2.1", &[], "password=wrong")
        .await
        .is_dead_link();
    assert_eq!(guesses(&app, &shared).await, 0);
}

/// The ticket of a share with a password is nothing to whoever finds its URL in a log.
#[tokio::test]
async fn a_ticket_alone_is_dead_after_a_minute() {
    let app = start().await;
    let shared = locked(&app).await;
    let form = format!("{RIGHT}&start=1");
    let reply = post(&app, &shared, "192.0.2.1", &[], &form).await;
    let (ticket, pass) = (sent_on(&reply), cookie(&reply));
    assert!(ticket.starts_with(&shared.at("/tickets/")), "{ticket}");
    let asked = async |client: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = [&from(client)[..], headers].concat();
        app.client.get(&ticket, &headers).await
    };
    let bytes = asked("203.0.113.9", &[]).await;
    assert_eq!((bytes.status, bytes.body.len()), (200, SIZE));
    assert_eq!(bytes.header("set-cookie"), None);
    at_second(&app, 59).await;
    assert_eq!(asked("203.0.113.9", &[]).await.status, 200);
    at_second(&app, 60).await;
    asked("203.0.113.9", &[]).await.is_dead_link();
    assert_eq!(asked("203.0.113.9", &[("Cookie", &pass)]).await.status, 200);
    assert_eq!(
        asked("192.0.2.1", &[]).await.status,
        200,
        "the network that started it"
    );
    // Whatever it was started with: another password is in force.
    lock(&app, &shared, "another").await;
    asked("192.0.2.1", &[("Cookie", &pass)])
        .await
        .is_dead_link();
}

#[tokio::test]
async fn a_counted_share_with_a_password_has_no_other_way() {
    let app = start().await;
    let shared = share(&app, counted(&["file_big"], 1)).await;
    lock(&app, &shared, "correct horse").await;
    app.client
        .get(&shared.at("/files/1/x"), &[])
        .await
        .is_dead_link();
    let form = format!("start=1&{RIGHT}");
    let first = sent_on(&post(&app, &shared, "192.0.2.1", &[], &form).await);
    let held = post(&app, &shared, "192.0.2.2", &[], &form).await;
    held.refused(409, "DOWNLOAD_IN_PROGRESS");
    let same = sent_on(&post(&app, &shared, "192.0.2.1", &[], &form).await);
    assert_eq!(same, first, "the same client has the same download");
    forget().await;
    let found = counts(&app, &shared).await;
    assert_eq!((found.done, found.open), (0, 1));
}
