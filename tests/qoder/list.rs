//! `GET /v1/files`: what is listed, and by which filter.

use super::*;

#[tokio::test]
async fn c17_an_account_without_files_has_an_empty_page() {
    let app = accounts().await;
    for root in ROOTS {
        let reply = app.client.get(root, &[PAT_A]).await;
        assert_eq!((reply.status, text(&reply)), (200, golden!("empty")));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn c18_a_page_is_the_vendors_sample() {
    let app = accounts().await;
    add_report(&app).await;
    let reply = app.client.get(FILES, &[PAT_A]).await;
    assert_eq!((reply.status, text(&reply)), (200, golden!("report_alone")));
}

#[tokio::test]
async fn c19_a_filtered_page_is_the_vendors_sample() {
    let app = accounts().await;
    add_report(&app).await;
    let path = format!("{FILES}?purpose=session_resource&limit=10");
    let reply = app.client.get(&path, &[PAT_A]).await;
    assert_eq!((reply.status, text(&reply)), (200, golden!("report_alone")));
    let path = format!("{FILES}?purpose=tool_output");
    let reply = app.client.get(&path, &[PAT_A]).await;
    assert_eq!(text(&reply), golden!("empty"));
}

#[tokio::test]
async fn c20_each_purpose_filters_exactly() {
    let app = fixture().await;
    for root in ROOTS {
        for (purpose, id) in [
            ("tool_output", F1),
            ("session_resource", F2),
            ("skill_output", "file_skill"),
            ("user_upload", "file_user"),
            ("agent_output", "file_agent"),
        ] {
            let path = format!("{root}?purpose={purpose}");
            let page = app.client.get(&path, &[PAT_A]).await.json();
            assert_eq!(ids(&page), [id]);
            let ends = (&page["first_id"], &page["last_id"], &page["has_more"]);
            assert_eq!(ends, (&json!(id), &json!(id), &json!(false)));
        }
    }
}

#[tokio::test]
async fn c21_an_unknown_purpose_is_a_field_fault() {
    let app = fixture().await;
    for query in ["purpose=nonsense", "purpose=", "purpose=Tool_Output"] {
        let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_A]).await;
        refused(&reply, 400, golden!("purpose_unknown"));
    }
    let path = format!("{FILES}?purpose=tool_output&purpose=tool_output");
    is_fault_of(&app.client.get(&path, &[PAT_A]).await, "purpose");
}

#[tokio::test]
async fn c22_newest_first_and_by_id_inside_a_second() {
    let app = accounts().await;
    for (seconds, id) in [(0, "file_a"), (1, "file_b"), (1, "file_c"), (2, "file_0")] {
        app.at(seconds);
        app.put(file(id, "x.txt", Purpose::UserUpload), b"x").await;
    }
    let order = ["file_0", "file_c", "file_b", "file_a"];
    assert_eq!(ids(&page(&app, "").await), order);
}

#[tokio::test]
async fn c25_a_limit_is_a_whole_number_of_one_or_more() {
    let app = fixture().await;
    for limit in [
        "0",
        "-1",
        "abc",
        "1.5",
        "",
        "1e2",
        "99999999999999999999",
        "%2B1",
        "%00",
    ] {
        let reply = app
            .client
            .get(&format!("{FILES}?limit={limit}"), &[PAT_A])
            .await;
        refused(&reply, 400, golden!("limit_wrong"));
    }
    let twice = app
        .client
        .get(&format!("{FILES}?limit=1&limit=2"), &[PAT_A])
        .await;
    is_fault_of(&twice, "limit");
    for (limit, files) in [("1", 1), ("%33", 3), ("100", 5), ("101", 5), ("500", 5)] {
        assert_eq!(
            ids(&page(&app, &format!("limit={limit}")).await).len(),
            files
        );
    }
}

#[tokio::test]
async fn c34_lists_need_a_token_and_show_its_account_alone() {
    let app = fixture().await;
    for headers in [&[][..], &[("Authorization", "Bearer wrong")]] {
        let reply = app.client.get(FILES, headers).await;
        refused(&reply, 401, golden!("unauthenticated"));
    }
    for query in [
        "",
        "purpose=tool_output",
        &format!("after={F1}"),
        "before=file_",
        "before=",
    ] {
        let reply = app.client.get(&format!("{FILES}?{query}"), &[PAT_B]).await;
        assert_eq!(text(&reply), golden!("empty"), "{query}");
    }
}

#[tokio::test]
async fn c35_metadata_that_was_never_set_is_an_empty_object() {
    let app = fixture().await;
    let page = page(&app, "purpose=tool_output").await;
    assert_eq!(page["data"][0]["metadata"], json!({}));
    assert_eq!(page["data"][0]["status"], "ready");
}

#[tokio::test]
async fn c36_unknown_parameters_are_ignored() {
    let app = fixture().await;
    let plain = page(&app, "").await;
    for query in [
        "utm_source=x",
        "order=asc&name=x&page=9",
        "&&=&=x",
        "Limit=0&x%00",
        "x=%ff",
        "%ff=1",
        "%ff",
    ] {
        assert_eq!(page(&app, query).await, plain, "{query}");
    }
    for query in ["x=%ff", "%ff=1", "%ff"] {
        let path = format!("{FILES}/{F1}/content?{query}");
        assert_eq!(app.client.get(&path, &[PAT_A]).await.status, 302, "{query}");
    }
    for field in ["purpose", "limit", "after", "before_id"] {
        let path = format!("{FILES}?x=%ff&{field}=%ff");
        is_fault_of(&app.client.get(&path, &[PAT_A]).await, field);
    }
}
