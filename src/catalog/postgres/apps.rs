//! Apps.

use sqlx::{PgConnection, query};

use super::calls::call;
use super::fault::Fault;
use super::{Postgres, keys, rows};
use crate::catalog::apps::Apps;
use crate::catalog::{Answer, missing, taken};
use crate::model::app::App;
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

/// An app and its key in one look, so that a key that was paused a moment ago is paused here.
const OF_ID: &str = "SELECT app.id AS app, app.secret, app.created_at AS app_created_at, \
     api_key.id, organization, name, digest, scopes, state, api_key.created_at, expires_at \
     FROM app JOIN api_key ON api_key.id = app.api_key WHERE app.id = $1";

const OF_ORGANIZATION: &str = "SELECT app.id AS app, api_key.id FROM app JOIN api_key ON api_key.id = app.api_key \
     WHERE $1::text IS NULL OR api_key.organization = $1 ORDER BY app.created_at, app.id";

impl Apps for Postgres {
    fn create_app<'a>(&'a self, key: &'a ApiKey, app: &'a App) -> Answer<'a, ()> {
        call!(self, "making an app", change, |connection| async {
            keys::create(connection, key).await?;
            create(connection, key, app).await
        })
    }

    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>> {
        call!(self, "looking for an app", look, |connection| async {
            let row = query(OF_ID)
                .bind(id.as_str())
                .fetch_optional(connection)
                .await?;
            let both = row.map(|row| Ok((rows::app(&row)?, rows::api_key(&row)?)));
            both.transpose()
        })
    }

    fn apps<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
    ) -> Answer<'a, Vec<(AppId, ApiKeyId)>> {
        call!(self, "listing the apps", look, |connection| async {
            let found = query(OF_ORGANIZATION)
                .bind(organization.map(|organization| organization.as_str()))
                .fetch_all(connection)
                .await?;
            found.iter().map(rows::app_of_key).collect()
        })
    }
}

async fn create(connection: &mut PgConnection, key: &ApiKey, app: &App) -> Result<(), Fault> {
    if app.key != key.id {
        return Err(missing("the API key").into());
    }
    let made = query(
        "INSERT INTO app (id, api_key, secret, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(app.id.as_str())
    .bind(app.key.as_str())
    .bind(app.secret.reveal())
    .bind(rows::stored_time(app.created_at))
    .execute(connection)
    .await?;
    if made.rows_affected() == 0 {
        return Err(taken("the app").into());
    }
    Ok(())
}
