//! What pages say to people, in each language that they speak.
//!
//! The table (`table.rs`) has a field for each text, and each language is one constant of it: a text that one of them
//! lacks does not compile. Which of them a reader gets is found in `language.rs`.

pub use self::language::Language;
pub use self::table::{Message, Plural, Texts};

mod chinese;
mod english;
mod german;
mod japanese;
mod language;
mod table;

impl Language {
    /// Returns what pages say in this language.
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &english::TEXTS,
            Self::Japanese => &japanese::TEXTS,
            Self::Chinese => &chinese::TEXTS,
            Self::German => &german::TEXTS,
        }
    }
}

#[cfg(test)]
mod tests;
