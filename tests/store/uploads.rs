//! Uploads that do not come to their end.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{found, prefix, sample};
use crate::support::app::TestApp;
use crate::support::form::{FORM, Form};
use crate::support::store::Store;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_in_the_store() {
    let Some(store) = Store::needed() else {
        return;
    };
    let prefix = prefix("leaves");
    let settings = store.settings(&prefix);
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let app = TestApp::start_with(&settings).await.with_org_123().await;
    let behind = store.behind(&prefix);
    let (_, before) = found(&behind).await;
    let form = Form::default().file("large.bin", &sample(32 << 20)).open();
    let head = format!(
        "POST /v1/organizations/org_123/files/upload HTTP/1.1\r\nHost: a\r\nX-API-Key: k1\r\n{}: {}\r\n\
         Content-Length: {}\r\n\r\n",
        FORM.0,
        FORM.1,
        form.len() + 100
    );
    let mut client = TcpStream::connect(app.client.0).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&form[..20 << 20]).await.unwrap();
    let begun = Instant::now();
    let until = async |wanted: usize| {
        while found(&behind).await.0 != wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "{wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{wanted} uploads: {:?}", begun.elapsed());
    };
    until(1).await;
    drop(client);
    until(0).await;
    assert_eq!(found(&behind).await, (0, before));
}
