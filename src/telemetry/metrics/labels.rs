//! The label enums of metrics: their values are few, fixed, and never a caller's text.

/// Makes an enum of which each value has a label, and the list of them all.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$of])* $value,)+ }

        impl $name {
            /// All of them, each at its own place.
            pub const ALL: &[Self] = &[$(Self::$value,)+];
            pub(super) const COUNT: usize = Self::ALL.len();

            /// Returns its word in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }
        }
    };
}

words! {
    /// The kind of call that a request was.
    Route {
        /// No route that we know, or a request that was refused before its route was looked at.
        #[default] None = "",
        /// The byte route.
        Download = "download",
        /// Look at a counted link, and start a download.
        Redeem = "redeem",
        /// Bytes of a counted download.
        Ticket = "ticket",
        /// Look at a share.
        SharePage = "share_page",
        /// Give the password of a share, and start a download.
        ShareOpen = "share_open",
        /// Bytes of a file of a share.
        ShareFile = "share_file",
        /// Bytes of a download that was started by a share.
        ShareTicket = "share_ticket",
        /// Verify a link for a proxy.
        Verify = "verify",
        /// Mint.
        AitronosContent = "aitronos_content",
        /// Retrieve and delete.
        AitronosFile = "aitronos_file",
        /// List.
        AitronosFiles = "aitronos_files",
        /// Upload.
        AitronosUpload = "aitronos_upload",
        /// Read what was counted of a counted link.
        AitronosLink = "aitronos_link",
        /// Make and list shares.
        Shares = "shares",
        /// Show, change and revoke a share.
        Share = "share",
        /// Give a share another address.
        ShareRotate = "share_rotate",
        /// Revoke a link.
        RevokeLink = "revoke_link",
        /// Revoke a file's links.
        RevokeFile = "revoke_file",
        /// Revoke an organization's links.
        RevokeOrganization = "revoke_organization",
        /// Mint.
        QoderContent = "qoder_content",
        /// Retrieve and delete.
        QoderFile = "qoder_file",
        /// List and upload.
        QoderFiles = "qoder_files",
        /// Mint a batch.
        KoodriveLinks = "koodrive_links",
    }
}

words! {
    /// The outcome of a download.
    Outcome {
        /// The whole file was handed to the socket.
        #[default] Whole = "whole",
        /// All of an answer that is not the whole file was handed to the socket: a range of it, or nothing of it (HEAD,
        /// 304).
        Part = "part",
        /// Less than the answer was.
        Aborted = "aborted",
        /// Less than the answer was, as its link was revoked meanwhile.
        Revoked = "revoked",
        /// The bytes were left to the proxy, or to the store.
        HandedOver = "handed_over",
    }
}

words! {
    /// The kind of listener.
    Listener {
        /// The public listeners.
        #[default] Public = "public",
        /// The private one.
        Private = "private",
    }
}

words! {
    /// The reason for refusing a connection.
    Refused {
        /// The address had as many connections as it may.
        #[default] AddressLimit = "address_limit",
        /// The bytes before the first request were wrong: the TLS handshake, or the PROXY protocol header.
        Handshake = "handshake",
    }
}

words! {
    /// The operation whose deadline passed.
    Deadline {
        /// The head of a request.
        #[default] Head = "head",
        /// The body of one.
        Body = "body",
        /// Waiting between two requests.
        Idle = "idle",
        /// An answer that was not taken.
        Write = "write",
        /// Reading what the client still sends after the answer.
        Linger = "linger",
    }
}

words! {
    /// The API dialect of a mint.
    Style {
        /// Aitronos.
        #[default] Aitronos = "aitronos",
        /// Qoder.
        Qoder = "qoder",
        /// KooDrive.
        Koodrive = "koodrive",
    }
}

impl Route {
    /// Returns the API dialect of the route; empty for routes that are in no dialect.
    pub(super) const fn style(self) -> &'static str {
        match self {
            Self::None
            | Self::Download
            | Self::Redeem
            | Self::Ticket
            | Self::SharePage
            | Self::ShareOpen
            | Self::ShareFile
            | Self::ShareTicket
            | Self::Verify => "none",
            Self::QoderContent | Self::QoderFile | Self::QoderFiles => "qoder",
            Self::KoodriveLinks => "koodrive",
            Self::AitronosContent
            | Self::AitronosFile
            | Self::AitronosFiles
            | Self::AitronosUpload
            | Self::AitronosLink
            | Self::Shares
            | Self::Share
            | Self::ShareRotate
            | Self::RevokeLink
            | Self::RevokeFile
            | Self::RevokeOrganization => "aitronos",
        }
    }

    /// Returns its label in metrics, where an empty word is none.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            known => known.as_str(),
        }
    }
}
