//! API keys.

use sqlx::{PgConnection, query};

use super::fault::Fault;
use super::{rows, tenancy, versions};
use crate::catalog::{missing, taken};
use crate::model::digest::Sha256Digest;
use crate::model::id::{ApiKeyId, OrganizationId};
use crate::model::key::{ApiKey, ApiKeyState};

/// A `SELECT` of whole API keys, with what follows the table's name.
macro_rules! api_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, organization, name, digest, scopes, state, created_at, expires_at FROM api_key ",
            $rest
        )
    };
}

pub(super) async fn create(connection: &mut PgConnection, key: &ApiKey) -> Result<(), Fault> {
    tenancy::know(connection, &key.organization).await?;
    let made = query(
        "INSERT INTO api_key (id, organization, name, digest, scopes, state, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(key.id.as_str())
    .bind(key.organization.as_str())
    .bind(&key.name)
    .bind(key.digest.as_bytes().as_slice())
    .bind(key.scopes.names().join(" "))
    .bind(key.state.as_str())
    .bind(rows::stored_time(key.created_at))
    .bind(key.expires_at.map(rows::stored_time))
    .execute(connection)
    .await?;
    if made.rows_affected() == 0 {
        return Err(taken("the API key").into());
    }
    Ok(())
}

pub(super) async fn of_digest(
    connection: &mut PgConnection,
    digest: &Sha256Digest,
) -> Result<Option<ApiKey>, Fault> {
    let row = query(api_keys!("WHERE digest = $1"))
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::api_key).transpose()
}

pub(super) async fn list(
    connection: &mut PgConnection,
    organization: Option<&OrganizationId>,
) -> Result<Vec<ApiKey>, Fault> {
    let wanted = match organization {
        Some(of) => {
            query(api_keys!("WHERE organization = $1 ORDER BY created_at, id")).bind(of.as_str())
        }
        None => query(api_keys!("ORDER BY created_at, id")),
    };
    let found = wanted.fetch_all(connection).await?;
    found.iter().map(rows::api_key).collect()
}

pub(super) async fn set_state(
    connection: &mut PgConnection,
    id: &ApiKeyId,
    state: ApiKeyState,
) -> Result<ApiKey, Fault> {
    let row = query(api_keys!("WHERE id = $1 FOR UPDATE"))
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let key = rows::api_key(&row.ok_or(missing("the API key"))?)?;
    if key.state == ApiKeyState::Deactivated && state != ApiKeyState::Deactivated {
        return Err(taken("the API key's deactivation").into());
    }
    query("UPDATE api_key SET state = $1 WHERE id = $2")
        .bind(state.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    versions::raise_rows(connection).await?;
    Ok(ApiKey { state, ..key })
}
