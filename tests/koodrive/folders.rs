//! Shared folders.

use hallpass::gateway::refusal::Refusal;
use hallpass::gateway::upload::NewFile;
use hallpass::model::id::FolderId;

use super::*;
use crate::support::app::{new_file, target};

/// `org_koo` shares `folder_1`, with its file and one more, with `org_else`.
async fn shared() -> Koo {
    let koo = Koo::start().await;
    koo.add("org_koo", SPACE, "outside", "outside.txt", b"x")
        .await;
    koo.add(
        "org_koo",
        "space_default",
        "inside",
        "inside.txt",
        b"inside",
    )
    .await;
    koo.folder("folder_1", &["org_else"], &[FILE, "inside"])
        .await;
    koo.folder("folder_own", &[], &[FILE]).await;
    koo
}

impl Koo {
    async fn folder(&self, id: &str, members: &[&str], files: &[&str]) {
        let owner = OrganizationId::parse("org_koo").unwrap();
        let id = FolderId::parse(id).unwrap();
        let members = members.iter().map(|id| OrganizationId::parse(id).unwrap());
        let files: Vec<FileId> = files.iter().map(|id| FileId::parse(id).unwrap()).collect();
        let gateway = &self.0.gateway;
        let (name, members) = (String::new(), members.collect());
        gateway
            .create_folder(owner.clone(), Some(id.clone()), name, members)
            .await
            .unwrap();
        gateway.add_to_folder(&owner, &id, &files).await.unwrap();
    }

    async fn ask_in(&self, key: &str, folder: &str, container: &str, files: &[&str]) -> Reply {
        let changed = [
            ("Authorization", Some(key)),
            ("x-hw-share-folder-id", Some(folder)),
        ];
        self.call(&changed, body(container, files).as_bytes()).await
    }
}

#[tokio::test]
async fn a_file_that_is_expired_is_put_into_no_folder() {
    let koo = shared().await;
    let new = NewFile {
        expires_in: Some(60),
        ..new_file("org_koo", "brief", "brief.txt")
    };
    koo.0.put(new, b"brief").await;
    let owner = OrganizationId::parse("org_koo").unwrap();
    let [once, late] = ["folder_1", "folder_own"].map(|id| FolderId::parse(id).unwrap());
    let files = [FileId::parse("brief").unwrap()];
    let gateway = &koo.0.gateway;
    gateway.add_to_folder(&owner, &once, &files).await.unwrap();
    koo.0.at(60);
    for folder in [&once, &late] {
        let refused = gateway.add_to_folder(&owner, folder, &files).await;
        assert!(matches!(refused, Err(Refusal::FileNotFound)), "{refused:?}");
    }
    assert_eq!(gateway.folder_files(&owner, &late).await.unwrap().len(), 1);
}

#[tokio::test]
async fn c70_in_a_shared_folder_only_its_files_are_found() {
    let koo = shared().await;
    for (key, container) in [
        ("Bearer+tok", SPACE),
        ("Bearer+tok", "space_default"),
        ("Bearer+tok2", SPACE),
        ("Bearer+tok2", "space_default"),
    ] {
        let ids = ["inside", FILE, "outside", "never", "no id!"];
        let reply = koo.ask_in(key, "folder_1", container, &ids).await;
        let json = granted(&reply, 0);
        let codes: Vec<&str> = json["downloads"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["code"].as_str().unwrap())
            .collect();
        // What is outside cannot be told apart from what is nowhere.
        assert_eq!(codes, ["0", "0", "13000302", "13000302", "13000302"]);
        assert_eq!(json["downloads"][2]["fileName"], Value::Null);
        assert_eq!(json["downloads"][1]["fileName"], "Invoice 1.pdf");
    }
}

#[tokio::test]
async fn links_of_a_shared_folder_are_the_owners() {
    let koo = shared().await;
    let reply = koo
        .ask_in("Bearer+tok2", "folder_1", "space_default", &[FILE])
        .await;
    let json = granted(&reply, 1);
    let link = target(json["downloads"][0]["url"].as_str().unwrap());
    assert!(link.starts_with("/v1/organizations/org_koo/"), "{link}");
    let reply = koo.0.client.get(&link, &[]).await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, INVOICE));
    koo.0
        .client
        .get(&link.replacen("org_koo", "org_else", 1), &[])
        .await
        .is_dead_link();
}

#[tokio::test]
async fn a_folder_is_unknown_to_everyone_else() {
    let koo = shared().await;
    let outcomes = [
        koo.ask_in("Bearer+tok2", "folder_own", "space_default", &[FILE])
            .await,
        koo.ask_in("Bearer+tok2", "never", "space_default", &[FILE])
            .await,
        koo.ask_in("Bearer+tok2", "no id!", "space_default", &[FILE])
            .await,
        koo.ask_in("Bearer+tok2", "", "space_default", &[FILE])
            .await,
        koo.ask_in("Bearer+tok", "never", "never", &[FILE]).await,
    ];
    for reply in outcomes {
        refused(&reply, 400, NO_FOLDER);
    }
    let reply = koo
        .ask_in("Bearer+tok2", "folder_1", "never", &[FILE])
        .await;
    refused(&reply, 400, NO_SPACE);
    granted(
        &koo.ask_in("Bearer+tok", "folder_own", SPACE, &[FILE]).await,
        1,
    );

    let [owner, member] = ["org_koo", "org_else"].map(|id| OrganizationId::parse(id).unwrap());
    let folder = FolderId::parse("folder_1").unwrap();
    let members = [member];
    let gateway = &koo.0.gateway;
    gateway
        .unshare_folder(&owner, &folder, &members)
        .await
        .unwrap();
    let reply = koo.ask_in("Bearer+tok2", "folder_1", SPACE, &[FILE]).await;
    refused(&reply, 400, NO_FOLDER);
}

#[tokio::test]
async fn deleted_files_of_a_folder_are_in_the_recycle_bin() {
    let koo = shared().await;
    koo.delete("org_koo", "inside").await;
    let reply = koo
        .ask_in("Bearer+tok2", "folder_1", SPACE, &["inside", FILE])
        .await;
    let json = granted(&reply, 0);
    assert_eq!(
        json["downloads"][0],
        json!({"fileId": "inside", "fileName": "inside.txt", "code": "13000306", "msg": "File is in the recycle bin."})
    );
}
