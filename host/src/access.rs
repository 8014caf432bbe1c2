//! Who may ask the host for what.

use std::fmt;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Posts events, and nothing else.
    Ingest,
    /// What a customer may: sees and manages what belongs to its tenant.
    Tenant,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Admin, Role::Ingest, Role::Tenant];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Ingest => "ingest",
            Role::Tenant => "tenant",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
