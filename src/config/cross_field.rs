//! Cross-field validation: refuses values that contradict each other.

use std::net::SocketAddr;

use super::bounds::{STORE_BYTES_MAX, STORE_PARTS_MAX};
use super::problem::Origin;
use super::source::{KEYRING_VARIABLE, Sources};
use super::{Config, Listen, Pages, Server};
use crate::web::cors::Origins;
use crate::web::offload::{CountedHandover, OffloadMode};

impl Sources {
    /// Notes every contradiction. A pair of which one was refused is not judged: its default stands in
    /// for it, and comparing with that would blame the other.
    pub(super) fn check_together(&mut self, config: &Config) {
        let links = &config.links;
        for (key, seconds) in [
            ("links.lifetime", links.lifetime),
            ("links.expiry_window", links.expiry_window),
        ] {
            let rule = "must be at most links.lifetime_max";
            self.refuse_pair(
                key,
                "links.lifetime_max",
                seconds > links.lifetime_max,
                rule,
            );
        }
        let server = &config.server;
        let public = |admin: &SocketAddr| {
            let is_same = |listen: &Listen| listen.address() == Some(*admin);
            admin.port() != 0 && server.listen.iter().any(is_same)
        };
        let clash = server.admin_listen.as_ref().is_some_and(public);
        let rule = "must be another address than those of server.listen";
        self.refuse_pair("server.admin_listen", "server.listen", clash, rule);
        let nobody = server.proxy_protocol && server.trusted_proxies.is_empty();
        let rule = "must not be required of nobody: name the proxies in server.trusted_proxies";
        self.refuse_pair(
            "server.proxy_protocol",
            "server.trusted_proxies",
            nobody,
            rule,
        );
        let anyone = config.cors.credentials && config.cors.origins == Origins::Any;
        let rule = "must not be true for every origin: name them in cors.origins";
        self.refuse_pair("cors.credentials", "cors.origins", anyone, rule);
        self.check_tls(server);
        self.check_pages(&config.pages);
        self.check_store(config);
        let clash = config.keyring.file.is_some() && config.keyring_text.is_some();
        let rule = "must not be set together with HALLPASS_KEYRING, which takes its place";
        self.refuse_pair("keyring.file", KEYRING_VARIABLE, clash, rule);
    }

    fn check_tls(&mut self, server: &Server) {
        let (certificate, key) = ("server.tls_certificate", "server.tls_key");
        let has = [server.tls_certificate.is_some(), server.tls_key.is_some()];
        let rule = "must be set together with server.tls_key";
        self.refuse_pair(certificate, key, has == [true, false], rule);
        let rule = "must be set together with server.tls_certificate";
        self.refuse_pair(key, certificate, has == [false, true], rule);
        let is_tls = server.listen.iter().any(Listen::is_tls);
        let rule = "must have a certificate for its tls: addresses: set server.tls_certificate and server.tls_key";
        self.refuse_pair(
            "server.listen",
            certificate,
            is_tls && has == [false; 2],
            rule,
        );
        let rule = "must not be set where no address of server.listen begins with tls:";
        self.refuse_pair(
            certificate,
            "server.listen",
            !is_tls && has == [true; 2],
            rule,
        );
        // A browser passes over the header where it comes without TLS (RFC 6797, §8.1).
        let plain = !is_tls && server.hsts.is_some();
        self.refuse_pair("server.hsts", "server.listen", plain, rule);
    }

    fn check_pages(&mut self, pages: &Pages) {
        let (text, url) = ("pages.link_text", "pages.link_url");
        let has = [pages.link_text.is_some(), pages.link_url.is_some()];
        let rule = "must be set together with pages.link_url";
        self.refuse_pair(text, url, has == [true, false], rule);
        let rule = "must be set together with pages.link_text";
        self.refuse_pair(url, text, has == [false, true], rule);
        let silent = pages.logo.is_some() && pages.title.is_none();
        let rule =
            "must be set together with pages.title, which is read to those who do not see it";
        self.refuse_pair("pages.logo", "pages.title", silent, rule);
    }

    fn check_store(&mut self, config: &Config) {
        let blobs = &config.blobs;
        let (id, secret) = ("blobs.access_key_id", "blobs.secret_access_key_file");
        let has = [
            blobs.access_key_id.is_some(),
            blobs.secret_access_key_file.is_some(),
        ];
        let rule = "must be set together with blobs.secret_access_key_file";
        self.refuse_pair(id, secret, has == [true, false], rule);
        let rule = "must be set together with blobs.access_key_id";
        self.refuse_pair(secret, id, has == [false, true], rule);
        let is_store = blobs.url.is_some();
        let redirects = config.handover.mode == OffloadMode::Redirect;
        let rule = "must not be redirect where no store keeps the bytes: set blobs.url";
        self.refuse_pair("handover.mode", "blobs.url", redirects && !is_store, rule);
        let at_start = config.handover.counted == CountedHandover::AtStart;
        let rule = "must not be at-start where clients are sent on to the store: a counted download is not";
        let wrong = redirects && at_start;
        self.refuse_pair("handover.counted", "handover.mode", wrong, rule);
        let both = is_store && !blobs.in_place_roots.is_empty();
        let rule = "must not be set together with blobs.in_place_roots: the bytes are on no disk";
        self.refuse_pair("blobs.url", "blobs.in_place_roots", both, rule);
        let large = is_store && config.uploads.size_max > STORE_BYTES_MAX;
        let rule = "must be at most 5120GiB where blobs.url is set";
        self.refuse_pair("uploads.size_max", "blobs.url", large, rule);
        let four_parts = config.uploads.size_max / STORE_PARTS_MAX * 4;
        let tight = is_store && blobs.memory_max < four_parts;
        let rule = "must be at least a 2,500th of uploads.size_max, for four parts of an upload";
        self.refuse_pair("blobs.memory_max", "uploads.size_max", tight, rule);
    }

    fn refuse_pair(&mut self, key: &str, other: &str, wrong: bool, rule: &str) {
        let sound = |key: &str| self.problems.iter().all(|problem| problem.key != key);
        if wrong && sound(key) && sound(other) {
            let why = match self.origin(other) {
                Origin::Default => rule.into(),
                origin => format!("{rule} ({origin})"),
            };
            self.add_problem(key, self.origin(key), why);
        }
    }
}
