//! The address of a PostgreSQL database.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use zeroize::Zeroizing;

/// The longest URL: as long as a host, a user, a password and a few paths could be.
pub const ADDRESS_BYTES_MAX: usize = 4096;

/// The parameters that the URL's query may have (libpq's names). The driver would log any other one with its value.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The name of every connection, so that the server's administrator knows whose it is.
const APPLICATION_NAME: &str = "hallpass";

/// The URL of a PostgreSQL database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>). It may hold a
/// password: it is never printed whole, and wiped when dropped.
///
/// What it leaves out comes from the variables of PostgreSQL's own programs (`PGUSER`, `PGPASSWORD`,
/// `PGSSLMODE`, …), a missing password also from `PGPASSFILE` or `~/.pgpass`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Zeroizing<String>);

impl Address {
    /// Reads the URL. The error says what it must be, and nothing that is in it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err("must be at most 4096 bytes long");
        }
        let rest = text
            .strip_prefix("postgres://")
            .or(text.strip_prefix("postgresql://"))
            .ok_or("must begin with postgres:// or postgresql://")?;
        if rest.contains('#') {
            return Err("must have no fragment; a # in a password is written %23");
        }
        let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut names = pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        if !names.all(|name| PARAMETERS.contains(&name)) {
            return Err(
                "must have no parameter but sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, \
                 dbname, user, password, application_name and options",
            );
        }
        if PgConnectOptions::from_str(text).is_err() {
            return Err("must be such as postgres://user@host:5432/database?sslmode=verify-full");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the URL for a person to read: `***` where a password may be.
    pub fn redacted(text: &str) -> String {
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let mut shown = match before.rsplit_once('@') {
            Some((user, host)) => {
                let start = user.find("://").map_or(0, |at| at + 3);
                let (scheme, user) = user.split_at(start);
                match user.split_once(':') {
                    Some((name, _)) => format!("{scheme}{name}:***@{host}"),
                    None => before.to_owned(),
                }
            }
            None => before.to_owned(),
        };
        for (number, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            shown.push(if number == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some(("password", _)) => shown.push_str("password=***"),
                _ => shown.push_str(pair),
            }
        }
        shown
    }

    /// Returns the `sslmode` where it lets others read or change what goes to the server and back:
    /// `None` for a server on this machine, and where its certificate is checked.
    pub fn exposed_by(&self) -> Option<&'static str> {
        let options = PgConnectOptions::from_str(&self.0).ok()?;
        let host = options.get_host();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_here = options.get_socket().is_some()
            || host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.to_canonical().is_loopback());
        match options.get_ssl_mode() {
            _ if is_here => None,
            PgSslMode::VerifyFull | PgSslMode::VerifyCa => None,
            PgSslMode::Require => Some("require"),
            PgSslMode::Prefer => Some("prefer"),
            PgSslMode::Allow => Some("allow"),
            PgSslMode::Disable => Some("disable"),
        }
    }

    /// Returns how to connect. Fails for what only the surroundings say, such as a variable that is wrong.
    pub(super) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.0)?.disable_statement_logging();
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name(APPLICATION_NAME),
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}
