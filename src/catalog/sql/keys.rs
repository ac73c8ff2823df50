//! API keys, and apps, which act as one.

use super::calls::calls;
use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::session::{Session, Value, query};
use super::values::insert;
use super::{Database, changes, rows, tenancy};
use crate::catalog::apps::Apps;
use crate::catalog::changes::Change;
use crate::catalog::transfer::Row;
use crate::catalog::{missing, taken};
use crate::model::app::App;
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::{ApiKey, ApiKeyState};

/// A `SELECT` of whole API keys, with what follows the table's name.
macro_rules! api_keys {
    ($($rest:tt),+) => {
        text!(
            "SELECT id, organization, name, digest, scopes, state, created_at, expires_at FROM api_key ",
            $($rest),+
        )
    };
}

const LOCK: SqlText = api_keys!("WHERE id = $1", [lock "UPDATE"]);

pub(super) async fn create(session: &mut Session<'_>, key: &ApiKey) -> Result<(), Fault> {
    add(session, key).await?;
    note_changed(session, &key.id).await
}

/// Adds an entry to the change feed: this key may be answered otherwise than before.
async fn note_changed(session: &mut Session<'_>, id: &ApiKeyId) -> Result<(), Fault> {
    let change = Change::KeyChanged { key: id.clone() };
    changes::append(session, &[change]).await
}

async fn add(session: &mut Session<'_>, key: &ApiKey) -> Result<(), Fault> {
    tenancy::expect(session, &key.organization).await?;
    let insert = query(
        "INSERT INTO api_key (id, organization, name, digest, scopes, state, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(&key.id)
    .bind(&key.organization)
    .bind(key.name.as_str())
    .bind(key.digest.as_bytes().as_slice())
    .bind(key.scopes.names().join(" "))
    .bind(key.state.as_str())
    .bind(key.created_at)
    .bind(key.expires_at);
    if session.execute(insert).await? == 0 {
        return Err(taken("the API key").into());
    }
    Ok(())
}

pub(super) async fn of_digest(
    session: &mut Session<'_>,
    digest: &Sha256Digest,
) -> Result<Option<ApiKey>, Fault> {
    let select = query(api_keys!("WHERE digest = $1")).bind(digest.as_bytes().as_slice());
    session.optional(select, rows::api_key).await
}

pub(super) async fn list(
    session: &mut Session<'_>,
    organization: Option<&OrganizationId>,
) -> Result<Vec<ApiKey>, Fault> {
    let select = match organization {
        Some(of) => query(api_keys!("WHERE organization = $1 ORDER BY created_at, id")).bind(of),
        None => query(api_keys!("ORDER BY created_at, id")),
    };
    session.all(select, rows::api_key).await
}

pub(super) async fn set_state(
    session: &mut Session<'_>,
    id: &ApiKeyId,
    state: ApiKeyState,
) -> Result<ApiKey, Fault> {
    let found = session
        .optional(query(LOCK).bind(id), rows::api_key)
        .await?;
    let key = found.ok_or(missing("the API key"))?;
    if key.state == ApiKeyState::Deactivated && state != ApiKeyState::Deactivated {
        return Err(taken("the API key's deactivation").into());
    }
    if key.state == state {
        return Ok(key);
    }
    let update = query("UPDATE api_key SET state = $1 WHERE id = $2");
    session
        .execute(update.bind(state.as_str()).bind(id))
        .await?;
    note_changed(session, id).await?;
    Ok(ApiKey { state, ..key })
}

/// Reads an app and its key at once, so that a key that was paused a moment ago is paused here.
const OF_ID: &str = "SELECT app.id AS app, app.secret, app.created_at AS app_created_at, \
     api_key.id, organization, name, digest, scopes, state, api_key.created_at, expires_at \
     FROM app JOIN api_key ON api_key.id = app.api_key WHERE app.id = $1";

const OF_ORGANIZATION: &str = "SELECT app.id AS app, api_key.id FROM app JOIN api_key ON api_key.id = app.api_key \
     WHERE CAST($1 AS text) IS NULL OR api_key.organization = $1 ORDER BY app.created_at, app.id";

impl<D: Database> Apps for D {
    calls! {
        fn create_app(key: &'a ApiKey, app: &'a App) -> ()
            => Write, "making an app", create_app;
        fn app(id: &'a AppId) -> Option<(App, ApiKey)>
            => Read, "looking for an app", app_with_key;
        fn apps(organization: Option<&'a OrganizationId>) -> Vec<(AppId, ApiKeyId)>
            => Read, "listing the apps", apps;
    }
}

/// Asks for all rows, not for one: a query that ends with its first row is over sooner than one that finds none, and
/// a refused signature runs one of each, in the order that tells whether there is such an app.
async fn app_with_key(
    session: &mut Session<'_>,
    id: &AppId,
) -> Result<Option<(App, ApiKey)>, Fault> {
    let select = query(OF_ID).bind(id);
    let found = session.all(select, |row| Ok((rows::app(row)?, rows::api_key(row)?)));
    Ok(found.await?.pop())
}

async fn apps(
    session: &mut Session<'_>,
    organization: Option<&OrganizationId>,
) -> Result<Vec<(AppId, ApiKeyId)>, Fault> {
    let organization = Value::Text(organization.map(|of| of.as_str().into()));
    let select = query(OF_ORGANIZATION).bind(organization);
    session.all(select, rows::app_of_key).await
}

async fn create_app(session: &mut Session<'_>, key: &ApiKey, app: &App) -> Result<(), Fault> {
    add(session, key).await?;
    if app.key != key.id {
        return Err(missing("the API key").into());
    }
    insert(session, &Row::App(app.clone()), "the app").await?;
    note_changed(session, &key.id).await
}
