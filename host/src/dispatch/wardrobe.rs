//! The outfits of the endpoints that are in use, each made once for a version of its endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::Endpoint;
use crate::id::EndpointId;

use super::request::{BuildError, Outfit};

#[derive(Debug, Default)]
pub struct Wardrobe(Mutex<HashMap<EndpointId, Fitting>>);

/// An outfit, and the version of the endpoint that it was made for.
type Fitting = (Arc<Endpoint>, Arc<Outfit>);

impl Wardrobe {
    pub fn outfit(&self, endpoint: &Arc<Endpoint>) -> Result<Arc<Outfit>, BuildError> {
        let mut outfits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, outfit)) = outfits.get(&endpoint.id)
            && Arc::ptr_eq(version, endpoint)
        {
            return Ok(outfit.clone());
        }
        let outfit = Arc::new(Outfit::new(endpoint)?);
        outfits.insert(endpoint.id, (endpoint.clone(), outfit.clone()));
        Ok(outfit)
    }

    /// Forgets those of endpoints that are gone.
    pub fn keep(&self, is_there: impl Fn(EndpointId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_there(*id));
    }
}
