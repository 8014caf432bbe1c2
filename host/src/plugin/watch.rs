//! Follows the plugins folder.
//!
//! The system's notice that a file changed is a hint and no more: it gets lost on network drives, in
//! containers and when the folder itself is replaced. So the folder is looked at every half a minute anyway.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::catalog::Catalog;

const RESCAN_EVERY: Duration = Duration::from_secs(30);
/// One copied file causes many notices.
const HINTS_SETTLE: Duration = Duration::from_millis(250);

impl Catalog {
    /// Keeps the catalog in step with its folder until `shutdown` comes to its end.
    pub async fn watch(&self, shutdown: impl Future<Output = ()>) {
        let Some(folder) = self.folder() else { return };
        tokio::select! {
            () = follow(self, folder) => {}
            () = shutdown => {}
        }
    }
}

async fn follow(catalog: &Catalog, folder: &Path) {
    // One hint is as good as many.
    let (hint, mut hints) = mpsc::channel(1);
    let mut watcher = None;
    loop {
        if watcher.is_none() || !folder.is_dir() {
            watcher = watch(folder, hint.clone());
        }
        let wait = if catalog.rescan().await { HINTS_SETTLE } else { RESCAN_EVERY };
        if let Ok(Some(())) = tokio::time::timeout(wait, hints.recv()).await {
            tokio::time::sleep(HINTS_SETTLE).await;
            let _ = hints.try_recv();
        }
    }
}

/// `None` where the system has no such service or the folder is not there: the next look tries again.
fn watch(folder: &Path, hint: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Looking at the folder is an event, too, and must not lead to the next look.
        let written = AccessKind::Close(AccessMode::Write);
        if event.is_ok_and(|event| event.kind.is_access() && event.kind != EventKind::Access(written)) {
            return;
        }
        // Full means that a look is due already.
        let _ = hint.try_send(());
    })
    .ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}
