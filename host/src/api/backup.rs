//! A copy of the store, while the host goes on.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::problem::{Kind, Problem};
use crate::seal;
use crate::store::Copying;

/// What the answer of `POST /v1/backup` is.
pub const MEDIA_TYPE: &str = "application/vnd.hookwright.backup";

/// What a backup says about itself, in its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Of the program that made it.
    pub version: String,
    pub made_at: String,
    pub sealing_key: SealingKeyPlace,
}

/// The key without which a backup is of no use, and which is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKeyPlace {
    pub fingerprint: String,
    /// A sentence's end: where it was when the backup was made.
    pub place: String,
}

/// The whole store as of now, bit by bit.
pub(super) async fn take(_: Caller, State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let label = serde_json::to_vec(&label(&api).await?).map_err(|error| Problem::internal(&error))?;
    match api.store.backup(label, api.config.server.backup_stall_timeout).await? {
        Copying::Begun(chunks) => {
            let stream = futures_util::stream::unfold(chunks, |mut chunks| async {
                chunks.recv().await.map(|chunk| (chunk, chunks))
            });
            let mut response = Response::new(Body::from_stream(stream));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            Ok(response)
        }
        Copying::UnderWay => {
            Err(Problem::new(Kind::Conflict, "A backup is being taken; try again when it has ended."))
        }
        Copying::Impossible => Err(Problem::new(
            Kind::Conflict,
            "This host's store has no backups of its own; use those of what it is kept in.",
        )),
    }
}

async fn label(api: &Api) -> Result<Label, Problem> {
    let fingerprint = api.store.setting(seal::FINGERPRINT_SETTING).await?.unwrap_or_default();
    let place = match &api.config.sealing_key {
        Some(_) => "in HOOKWRIGHT_SEALING_KEY in the environment of the server".to_owned(),
        None => format!("in {} on the server's machine", absolute(api.config.sealing_key_file()).display()),
    };
    let fingerprint = String::from_utf8_lossy(&fingerprint).into_owned();
    Ok(Label {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: api.clock.now().to_string(),
        sealing_key: SealingKeyPlace { fingerprint, place },
    })
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
