//! Turns at the plugins: an endpoint whose plugin takes long gets no more than a part of the slots for calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::endpoint::Endpoint;
use crate::id::EndpointId;

/// An endpoint may use this part of the slots.
const SHARE: usize = 4;
/// From so many on, endpoints that use no slot are forgotten.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
pub struct Turns {
    each: usize,
    lanes: Mutex<HashMap<EndpointId, Arc<Semaphore>>>,
}

impl Turns {
    /// `slots` is how many calls run at once.
    pub fn new(slots: usize) -> Self {
        Self { each: (slots / SHARE).max(1), lanes: Mutex::default() }
    }

    /// A turn, given back when it is dropped; `None` where the endpoint cannot use too many anyway.
    pub async fn take(&self, endpoint: &Endpoint) -> Option<OwnedSemaphorePermit> {
        if endpoint.terms.links().next().is_none() || endpoint.concurrency as usize <= self.each {
            return None;
        }
        // An error would mean that the semaphore was closed, which nobody does.
        self.lane(endpoint.id).acquire_owned().await.ok()
    }

    fn lane(&self, endpoint: EndpointId) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= REMEMBERED {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        lanes.entry(endpoint).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}
