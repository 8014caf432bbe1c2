//! Whom the catalogue of plugins asks before it changes: those of the book who run them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::book::Book;
use crate::book::usage::Use;
use crate::endpoint::OnFailure;
use crate::plugin::{Link, Users};

/// Everybody of the book.
pub struct Everybody(pub Arc<Book>);

impl Users for Everybody {
    fn links(&self, plugin: &str) -> Vec<Link> {
        let book = self.0.snapshot();
        book.uses().filter(|link| link.plugin() == plugin).map(|link| link_of(&link)).collect()
    }

    fn pinned(&self) -> BTreeSet<String> {
        self.0.snapshot().pinned_plugins()
    }

    fn version(&self) -> u64 {
        self.0.snapshot().version().0
    }
}

fn link_of(link: &Use<'_>) -> Link {
    Link {
        user: link.user.to_string(),
        at: link.pointer(),
        pin: link.pin().map(str::to_owned),
        config: link.transform.config.clone(),
        passes_failures: link.transform.on_failure == OnFailure::Pass,
    }
}
