//! Pages in German.

use super::table::{Message, Plural, Texts};

pub(super) const TEXTS: Texts = Texts {
    lang: "de",
    decimal: ',',
    thousands: '.',
    bytes: Plural {
        one: "{} Byte",
        other: "{} Bytes",
    },
    time: "{day}. {month} {year}, {time} UTC",
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    moment: "weniger als eine Minute",
    minutes: Plural {
        one: "{} Minute",
        other: "{} Minuten",
    },
    hours: Plural {
        one: "{} Stunde",
        other: "{} Stunden",
    },
    days: Plural {
        one: "{} Tag",
        other: "{} Tage",
    },
    file_count: Plural {
        one: "{} Datei",
        other: "{} Dateien",
    },
    download_count: Plural {
        one: "{} Download",
        other: "{} Downloads",
    },
    title: "Eine Datei wurde für Sie freigegeben",
    file: "Datei",
    files: "Dateien",
    files_of: "Dateien {} bis {} von {}",
    name: "Name",
    size: "Größe",
    kind: "Typ",
    download: "Herunterladen",
    download_of: "{} herunterladen",
    all_as_zip: "Alle als ZIP herunterladen, {}",
    preview_of: "Vorschau von {}",
    expires: "Verfügbar bis",
    ends_in: "{} (noch {})",
    left: "Noch möglich",
    left_of: "{} von {} Downloads",
    total: "Insgesamt",
    total_of: "{}, {}",
    gone: "Nicht mehr vorhanden",
    damaged: "Nicht lesbar",
    file_expires: "Nur bis {}",
    in_place: "Liegt an ihrem ursprünglichen Ort: Wird sie dort geändert, lässt sie sich hier nicht mehr öffnen.",
    all_in_place: "Was hier freigegeben ist, liegt an seinem ursprünglichen Ort: Was dort geändert wird, lässt sich hier nicht mehr öffnen.",
    checksums_pending: "Die Prüfsummen einiger Dateien werden noch berechnet. Bis dahin beginnt ein abgebrochener \
                        Download der ZIP-Datei von vorn.",
    names_too_long: "Alle zusammen gibt es nicht als ZIP, weil ihre Namen dafür zu lang sind. Bitte laden Sie sie einzeln herunter.",
    names_too_long_to_count: "Diese Dateien lassen sich nicht herunterladen: Diese Freigabe gibt sie nur zusammen in einer ZIP-Datei, und dafür \
                              sind ihre Namen zu lang. Bitten Sie um eine andere Freigabe mit weniger Dateien.",
    counted: "Sie können diese Seite beliebig oft ansehen: Ein Download zählt erst, wenn Sie auf die Schaltfläche klicken. \
              Bricht er ab, lässt er sich fortsetzen.",
    all_started: "Alle Downloads, die diese Freigabe erlaubt, wurden begonnen. War einer davon Ihrer, setzt die \
                  Schaltfläche ihn fort, und zwar bis zehn Minuten nach seinem Ende.",
    nothing: "Diese Freigabe enthält keine Dateien mehr.",
    next: "Nächste Dateien",
    previous: "Vorherige Dateien",
    qr: "QR-Code mit der Adresse dieser Seite",
    password_heading: "Bitte geben Sie das Passwort ein",
    password_label: "Passwort",
    password_button: "Öffnen",
    password_why: "Wer Ihnen die Adresse dieser Seite geschickt hat, kennt es.",
    password_wrong: "Das Passwort ist falsch. Bitte versuchen Sie es noch einmal.",
    share_held: "Hier läuft gerade ein Download",
    share_held_for: "Alle Downloads, die diese Freigabe erlaubt, wurden begonnen. Wurde einer abgebrochen, wird er \
                     vielleicht wieder frei (noch {}).",
    share_held_no_more: "Alle Downloads, die diese Freigabe erlaubt, wurden begonnen. Wurde einer abgebrochen, ist er \
                         jetzt vielleicht wieder frei.",
    link_held: "Diese Datei wird gerade heruntergeladen",
    link_held_for: "Alle Downloads, die dieser Link erlaubt, wurden begonnen. Wurde einer abgebrochen, wird er vielleicht \
                    wieder frei (noch {}).",
    link_held_no_more: "Alle Downloads, die dieser Link erlaubt, wurden begonnen. Wurde einer abgebrochen, ist er jetzt \
                        vielleicht wieder frei.",
    again: "Noch einmal versuchen",
    link_spent: Message {
        heading: "Dieser Link wurde bereits verwendet",
        text: "Er galt für {}. Wenn Sie einen neuen brauchen, fragen Sie bitte die Person, die ihn Ihnen geschickt hat.",
    },
    trace: "Vorgang {}",
    no_route: Message {
        heading: "Hier ist nichts",
        text: "Bitte prüfen Sie, ob die Adresse vollständig ist, so wie Sie sie bekommen haben.",
    },
    link_invalid: Message {
        heading: "Dieser Link lässt sich nicht öffnen",
        text: "Er ist abgelaufen oder ungültig. Bitte fragen Sie die Person, die ihn Ihnen geschickt hat, nach einem neuen.",
    },
    file_missing: Message {
        heading: "Diese Datei ist nicht hier",
        text: "Es gibt sie nicht, oder sie wurde gelöscht.",
    },
    in_use: Message {
        heading: "Bitte versuchen Sie es später noch einmal",
        text: "Dieser Link wird gerade von jemand anderem verwendet. Später ist er vielleicht wieder frei.",
    },
    used_up: Message {
        heading: "Dieser Link wurde bereits verwendet",
        text: "Er gilt nicht mehr. Wenn Sie einen neuen brauchen, fragen Sie bitte die Person, die ihn Ihnen geschickt hat.",
    },
    too_many: Message {
        heading: "Bitte warten Sie einen Moment",
        text: "Es gab gerade zu viele Anfragen. Etwas später geht es wieder.",
    },
    unavailable: Message {
        heading: "Bitte versuchen Sie es noch einmal",
        text: "Der Dienst ist ausgelastet. In einem Moment geht es vielleicht wieder.",
    },
    not_possible: Message {
        heading: "Das geht hier nicht",
        text: "Angefragt wurde etwas, das dieser Link nicht bietet.",
    },
    failed: Message {
        heading: "Etwas ist schiefgegangen",
        text: "Der Fehler liegt bei uns. In einem Moment geht es vielleicht wieder.",
    },
};
