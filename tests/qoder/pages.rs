//! Walking a list: cursors, and when there are more.

use super::*;

/// The first account with `count` uploads, two in each second. Answers their ids, newest first.
async fn with_files(count: usize) -> (TestApp, Vec<String>) {
    let app = accounts().await;
    let mut made = Vec::new();
    for number in 0..count {
        app.at(i64::try_from(number / 2).unwrap());
        let new = NewFile {
            id: None,
            ..file("drawn", "x.txt", Purpose::UserUpload)
        };
        made.push(app.put(new, b"x").await.id.to_string());
    }
    made.reverse();
    (app, made)
}

#[tokio::test]
async fn c23_a_page_has_twenty_files_unless_asked_otherwise() {
    let (app, made) = with_files(45).await;
    let first = page(&app, "").await;
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (strs(&made[..20]), &json!(true))
    );
    let all = page(&app, "limit=100").await;
    assert_eq!((ids(&all), &all["has_more"]), (strs(&made), &json!(false)));
}

#[tokio::test]
async fn c24_a_page_has_a_hundred_files_at_most() {
    let (app, made) = with_files(101).await;
    let first = page(&app, "limit=500").await;
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (strs(&made[..100]), &json!(true))
    );
    let rest = page(&app, &format!("limit=500&after={}", made[99])).await;
    assert_eq!(
        (ids(&rest), &rest["has_more"]),
        (strs(&made[100..]), &json!(false))
    );
}

#[tokio::test]
async fn c26_a_page_that_is_just_full_is_the_last() {
    let (app, made) = with_files(20).await;
    let whole = page(&app, "limit=20").await;
    assert_eq!(
        (ids(&whole), &whole["has_more"]),
        (strs(&made), &json!(false))
    );
    let newer = page(&app, &format!("limit=5&before={}", made[5])).await;
    assert_eq!(
        (ids(&newer), &newer["has_more"]),
        (strs(&made[..5]), &json!(false))
    );
}

#[tokio::test]
async fn c27_a_walk_sees_every_file_once() {
    let (app, made) = with_files(45).await;
    let mut seen: Vec<String> = Vec::new();
    let mut query = "limit=10".to_owned();
    let mut pages = 0;
    loop {
        let page = page(&app, &query).await;
        seen.extend(ids(&page).iter().map(|id| (*id).to_owned()));
        pages += 1;
        if page["has_more"] == false {
            break;
        }
        query = format!("limit=10&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!((seen, pages), (made, 5));
}

#[tokio::test]
async fn c28_before_goes_back_by_exactly_one_page() {
    let (app, made) = with_files(45).await;
    let third = page(&app, &format!("limit=10&after={}", made[19])).await;
    let first_of_third = third["first_id"].as_str().unwrap();
    let second = page(&app, &format!("limit=10&before={first_of_third}")).await;
    assert_eq!(
        (ids(&second), &second["has_more"]),
        (strs(&made[10..20]), &json!(true))
    );
    let first = page(&app, &format!("limit=10&before={}", made[10])).await;
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (strs(&made[..10]), &json!(false))
    );
    let fewer = page(&app, &format!("limit=10&before={}", made[3])).await;
    assert_eq!(
        (ids(&fewer), &fewer["has_more"]),
        (strs(&made[..3]), &json!(false))
    );
}

#[tokio::test]
async fn c29_there_is_nothing_beyond_the_ends() {
    let (app, made) = with_files(3).await;
    for query in [format!("after={}", made[2]), format!("before={}", made[0])] {
        let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_A]).await;
        assert_eq!(
            (reply.status, text(&reply)),
            (200, golden!("empty")),
            "{query}"
        );
    }
}

#[tokio::test]
async fn c30_half_an_id_is_a_place() {
    let app = fixture().await;
    let after = page(&app, "limit=10&after=file_019e3bb8e6c47d18").await;
    assert_eq!(
        ids(&after),
        [""; 0],
        "the report is newer than the beginning of its id"
    );
    let before = page(&app, "limit=10&before=file_019e3bb8e6c47d18").await;
    assert_eq!(ids(&before).last(), Some(&F2));
    let after = page(&app, "limit=10&after=file_019e3bb9b0c2752688aeb5fdacf0").await;
    assert_eq!(
        ids(&after),
        [F2],
        "the output was made in that second, and is newer"
    );
}

#[tokio::test]
async fn c31_a_deleted_cursor_keeps_its_place() {
    let (app, made) = with_files(9).await;
    let around = [
        format!("limit=3&after={}", made[3]),
        format!("limit=3&before={}", made[3]),
    ];
    let mut then = Vec::new();
    for query in &around {
        then.push(page(&app, query).await);
    }
    let path = format!("{FILES}/{}", made[3]);
    let deleted = app.client.request("DELETE", &path, &[PAT_A], b"").await;
    assert_eq!(deleted.status, 204);
    for (query, then) in around.iter().zip(then) {
        assert_eq!(page(&app, query).await, then);
    }
}

#[tokio::test]
async fn c32_what_comes_during_a_walk_does_not_shift_it() {
    let (app, made) = with_files(9).await;
    let first = page(&app, "limit=4").await;
    app.at(100);
    app.put(file("file_new", "x.txt", Purpose::UserUpload), b"x")
        .await;
    let last = first["last_id"].as_str().unwrap();
    let second = page(&app, &format!("limit=4&after={last}")).await;
    assert_eq!(ids(&second), strs(&made[4..8]));
    let third = page(&app, &format!("limit=4&after={}", made[7])).await;
    assert_eq!(ids(&third), strs(&made[8..]));
}

#[tokio::test]
async fn c33_one_cursor_under_either_name() {
    let (app, made) = with_files(5).await;
    let cursor = &made[2];
    for (query, alias) in [("after", "after_id"), ("before", "before_id")] {
        let plain = page(&app, &format!("{query}={cursor}")).await;
        assert_eq!(page(&app, &format!("{alias}={cursor}")).await, plain);
        assert_eq!(
            page(&app, &format!("{alias}={cursor}&{query}={cursor}")).await,
            plain
        );
    }
    for query in [
        "after=x&before=y",
        "before_id=x&after=x",
        "after_id=x&before_id=y",
    ] {
        let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_A]).await;
        refused(&reply, 400, golden!("cursors_both"));
    }
    for (query, field) in [
        ("after=x&after_id=y", "after_id"),
        ("before=x&before_id=y", "before_id"),
        ("after=x&after=x", "after"),
    ] {
        let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_A]).await;
        is_fault_of(&reply, field);
    }
}

/// Such a place lies in the order of ids, and leads to nothing of another account.
#[tokio::test]
async fn any_text_is_a_place_in_the_order_of_ids() {
    let app = fixture().await;
    let in_order = ["file_user", "file_skill", "file_agent", F1, F2];
    for (text, higher) in [
        ("file_nonexistent123", 2),
        ("zzz", 0),
        ("a", 5),
        ("%27;%20DROP%20TABLE%20file;--", 5),
        ("%25", 5),
        ("_", 5),
        ("%00", 5),
        ("file_%C3%A9", 0),
        ("", 5),
    ] {
        let above = page(&app, &format!("before={text}")).await;
        assert_eq!(ids(&above), in_order[..higher], "{text}");
        let below = page(&app, &format!("after={text}")).await;
        assert_eq!(ids(&below), in_order[higher..], "{text}");
    }
    let next = page(&app, "limit=1&before=a").await;
    assert_eq!((ids(&next), &next["has_more"]), (vec![F2], &json!(true)));
    let long = "x".repeat(7_000);
    assert_eq!(ids(&page(&app, &format!("before={long}")).await), [""; 0]);
    let not_text = app
        .client
        .get(&format!("{FILES}?after=%ff"), &[PAT_A])
        .await;
    is_fault_of(&not_text, "after");
}

#[tokio::test]
async fn cursors_go_with_a_purpose() {
    let (app, made) = with_files(6).await;
    app.at(50);
    add_report(&app).await;
    let query = format!("purpose=user_upload&limit=2&after={}", made[1]);
    assert_eq!(ids(&page(&app, &query).await), strs(&made[2..4]));
    let query = format!("purpose=user_upload&limit=2&before={}", made[4]);
    let newer = page(&app, &query).await;
    assert_eq!(
        (ids(&newer), &newer["has_more"]),
        (strs(&made[2..4]), &json!(true))
    );
    let query = format!("purpose=session_resource&after={}", made[0]);
    assert_eq!(
        ids(&page(&app, &query).await),
        [F2],
        "a cursor need not have the purpose"
    );
}

fn strs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}
