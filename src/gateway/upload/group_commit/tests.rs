//! Those that wait go together, each with an outcome of its own.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::tests::{new, place, staged};
use super::*;
use crate::catalog::testing::TestCatalog;

/// Begins to add a file while `first` is being added, and all others behind it.
async fn add_beside(
    catalog: &TestCatalog,
    gateway: &Arc<Gateway>,
    ids: &[&str],
) -> (Vec<JoinHandle<Added>>, oneshot::Sender<()>) {
    let (is_done, go_on) = catalog.hesitate_in("adding files within a quota");
    let mut callers = Vec::new();
    for id in ids {
        let file = staged(gateway, new(Some(id), "space_default")).await;
        let adding = Arc::clone(gateway);
        callers.push(tokio::spawn(async move {
            adding.add_in_group(vec![file]).await
        }));
        let organization = OrganizationId::default_organization();
        // The first one has its turn, and each other one waits.
        while gateway
            .adding
            .lock()
            .get(&organization)
            .is_none_or(|queue| queue.len() + 1 < callers.len())
        {
            tokio::task::yield_now().await;
        }
    }
    is_done.await.unwrap();
    (callers, go_on)
}

#[tokio::test]
async fn what_becomes_ready_meanwhile_goes_with_the_next_transaction() {
    let (catalog, gateway) = place().await;
    let _ = catalog.calls();
    let ids: Vec<String> = (0..20).map(|number| format!("file_{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (callers, go_on) = add_beside(&catalog, &gateway, &ids).await;
    go_on.send(()).unwrap();
    for (caller, id) in callers.into_iter().zip(ids) {
        let added = caller.await.unwrap();
        assert_eq!(added[0].as_ref().unwrap().id.as_str(), id);
    }
    assert_eq!(catalog.calls(), 2);
    assert!(gateway.adding.lock().is_empty());
}

#[tokio::test]
async fn one_that_is_refused_refuses_no_other() {
    let (catalog, gateway) = place().await;
    let ids = ["one", "two", "one", "three"];
    let (callers, go_on) = add_beside(&catalog, &gateway, &ids).await;
    go_on.send(()).unwrap();
    let mut outcomes = Vec::new();
    for caller in callers {
        outcomes.push(caller.await.unwrap()[0].is_ok());
    }
    assert_eq!(outcomes, [true, true, false, true]);
}

#[tokio::test]
async fn callers_behind_a_leader_that_is_gone_are_refused_and_the_next_is_not() {
    let (catalog, gateway) = place().await;
    let (mut callers, _go_on) = add_beside(&catalog, &gateway, &["one", "two"]).await;
    let second = callers.pop().unwrap();
    callers.pop().unwrap().abort();
    let told = second.await.unwrap();
    assert!(
        matches!(told[..], [Err(Refusal::Unavailable(_))]),
        "{told:?}"
    );
    let third = staged(&gateway, new(Some("three"), "space_default")).await;
    assert!(gateway.add_in_group(vec![third]).await[0].is_ok());
}

#[tokio::test]
async fn a_few_that_are_refused_cost_a_few_calls() {
    let (catalog, gateway) = place().await;
    let mut files = Vec::new();
    for number in 0..64 {
        let id = format!("file_{}", if number == 40 { 2 } else { number });
        files.push(staged(&gateway, new(Some(&id), "space_default")).await);
    }
    let _ = catalog.calls();
    let added = gateway.add_staged(files).await;
    let refused = added.iter().enumerate().filter(|(_, one)| one.is_err());
    let refused: Vec<usize> = refused.map(|(number, _)| number).collect();
    assert_eq!(refused, [40]);
    assert!(catalog.calls() < 16);
}

#[tokio::test]
async fn a_catalogue_that_does_not_answer_is_not_asked_by_each_that_waits() {
    let (catalog, gateway) = place().await;
    let (callers, go_on) = add_beside(&catalog, &gateway, &["one", "two", "three"]).await;
    catalog.fall_silent();
    let _ = catalog.calls();
    go_on.send(()).unwrap();
    for caller in callers {
        let told = caller.await.unwrap();
        assert!(
            matches!(told[..], [Err(Refusal::Unavailable(_))]),
            "{told:?}"
        );
    }
    assert!(catalog.calls() < 2);
    assert!(gateway.adding.lock().is_empty());
}
