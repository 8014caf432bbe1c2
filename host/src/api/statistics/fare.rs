//! How endpoints fare, beside what they are: the same for one and for a page of them, in two reads.

use serde::Serialize;

use super::view::DayView;
use super::{WEEK, failing_because, filled, standings, status, text};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::endpoint::Endpoint;
use crate::store::{Scope, Standing};
use crate::tally::{Resolution, Tally, Window};

/// The members of [`Fare`], which are told and no client sets.
pub const FARE_FIELDS: [&str; 6] =
    ["status", "failing_because", "success_rate", "last_delivery_at", "last_event_at", "last_7_days"];

#[derive(Debug, Default, Serialize)]
pub struct Fare {
    /// `active`, `failing` or `disabled`.
    status: &'static str,
    /// Why it is failing: its receiver, or a plugin of its chain.
    failing_because: Option<String>,
    /// Over the last 7 days: of the attempts that tried to deliver, the part that arrived, in 0 to 1.
    success_rate: Option<f64>,
    last_delivery_at: Option<String>,
    last_event_at: Option<String>,
    /// By the day, the present one last; days are cut in UTC.
    last_7_days: Vec<DayView>,
}

impl Fare {
    /// In the order of the endpoints.
    pub async fn of_all(api: &Api, endpoints: &[&Endpoint]) -> Result<Vec<Self>, Problem> {
        let week = Window::last(Resolution::Day, WEEK, api.clock.now());
        let scopes = endpoints.iter().map(|endpoint| Scope::Endpoint(endpoint.id)).collect();
        let weeks = api.store.tallies(scopes, week).await?;
        let standings = standings(api, endpoints).await?;
        let fares = endpoints.iter().zip(weeks).zip(standings).map(|((endpoint, days), standing)| {
            let total = Tally::sum(days.iter().map(|day| &day.tally));
            let last_7_days = filled(week, days).iter().map(DayView::of).collect();
            Self::new(api, endpoint, &standing, &total, last_7_days)
        });
        Ok(fares.collect())
    }

    pub async fn of(api: &Api, endpoint: &Endpoint) -> Result<Self, Problem> {
        let fare = Self::of_all(api, &[endpoint]).await?.pop();
        Ok(fare
            .unwrap_or_else(|| Self::new(api, endpoint, &Standing::default(), &Tally::default(), Vec::new())))
    }

    fn new(
        api: &Api,
        endpoint: &Endpoint,
        standing: &Standing,
        total: &Tally,
        last_7_days: Vec<DayView>,
    ) -> Self {
        Self {
            status: status(api, endpoint, standing).word(),
            failing_because: failing_because(api, endpoint, standing),
            success_rate: total.success_rate(),
            last_delivery_at: standing.last_delivery_at.map(text),
            last_event_at: standing.last_event_at.map(text),
            last_7_days,
        }
    }
}
