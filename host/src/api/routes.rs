//! Every operation of the interface, and who may use it: one table, from which the router is made.
//!
//! A handler behind a key takes the [`Caller`] first; without it, it does not compile here.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Router, middleware};
use http::Method;

use super::auth::{self, Caller};
use super::problem::{Kind, Problem};
use super::{
    Api, backtests, backup, deliveries, endpoints, event_types, events, hooks, host, keys, live, openapi,
    plugins, probes, replays, session, statistics, tenants, transform, usage, versions,
};
use crate::access::Role;
use crate::config::HostRole;

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever reaches the host; no key is asked for.
    Everybody,
    /// Nobody but admins.
    Admins,
    /// Those who post events.
    Producers,
    /// Tenants, within what is theirs.
    Customers,
}

impl Who {
    /// The roles whose keys pass. An admin's always does.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Who::Everybody => &Role::ALL,
            Who::Admins => &[Role::Admin],
            Who::Producers => &[Role::Admin, Role::Ingest],
            Who::Customers => &[Role::Admin, Role::Tenant],
        }
    }

    pub fn admits(self, role: Role) -> bool {
        self.roles().contains(&role)
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Route {
    pub method: Method,
    /// As OpenAPI writes it: `/v1/events/{id}`.
    pub path: &'static str,
    pub who: Who,
    /// Its name; no two operations share one.
    pub operation: &'static str,
    serve: MethodRouter<Arc<Api>>,
}

impl Route {
    /// Which hosts do it; `None` for all.
    pub fn role(&self) -> Option<HostRole> {
        match (self.who, self.path) {
            (_, "/healthz" | "/readyz" | "/metrics") => None,
            (Who::Producers, _) => Some(HostRole::Ingest),
            _ => Some(HostRole::Api),
        }
    }

    /// As it is on a host of these roles.
    fn within(self, roles: &[HostRole]) -> Self {
        match self.role() {
            Some(role) if !roles.contains(&role) => {
                let elsewhere = move || async move { elsewhere(role) };
                Self {
                    who: Who::Everybody,
                    ..open(&self.method, self.path, self.who, self.operation, elsewhere)
                }
            }
            _ => self,
        }
    }
}

/// What a host says to what others do.
pub(super) fn elsewhere(role: HostRole) -> Problem {
    let detail =
        format!("This server does not do that; ask one that was started with the role `{}`.", role.word());
    Problem::new(Kind::Elsewhere, detail)
}

/// All operations.
pub fn table() -> Vec<Route> {
    use Who::{Admins, Customers, Everybody, Producers};
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let put = Method::PUT;
    vec![
        open(&get, "/healthz", Everybody, "healthz", probes::healthz),
        open(&get, "/readyz", Everybody, "readyz", probes::readyz),
        // Asks for an admin's key itself, unless `metrics.open` is set.
        open(&get, "/metrics", Everybody, "metrics", probes::metrics),
        open(&get, "/openapi.json", Everybody, "openapi", openapi::show),
        open(&get, "/docs", Everybody, "docs", openapi::docs),
        keyed(&post, "/v1/events", Producers, "post_events", events::post),
        keyed(&get, "/v1/events", Customers, "list_events", events::list),
        keyed(&get, "/v1/events/{id}", Customers, "show_event", events::show),
        keyed(&post, "/v1/events/{id}/replay", Customers, "replay_event", replays::of_event),
        keyed(&post, "/v1/replays", Customers, "create_replay", replays::create),
        keyed(&get, "/v1/replays", Customers, "list_replays", replays::list),
        keyed(&get, "/v1/replays/{id}", Customers, "show_replay", replays::show),
        keyed(&post, "/v1/replays/{id}/cancel", Customers, "cancel_replay", replays::cancel),
        keyed(&post, "/v1/endpoints", Customers, "create_endpoint", endpoints::create),
        keyed(&get, "/v1/endpoints", Customers, "list_endpoints", endpoints::list),
        keyed(&get, "/v1/endpoints/{id}", Customers, "show_endpoint", endpoints::show),
        keyed(&patch, "/v1/endpoints/{id}", Customers, "change_endpoint", endpoints::patch),
        keyed(&delete, "/v1/endpoints/{id}", Customers, "delete_endpoint", endpoints::delete),
        keyed(&post, "/v1/endpoints/{id}/test", Customers, "test_endpoint", endpoints::test),
        keyed(&get, "/v1/endpoints/{id}/stats", Customers, "endpoint_stats", statistics::stats),
        keyed(
            &post,
            "/v1/endpoints/{id}/secret/rotate",
            Customers,
            "rotate_secret",
            endpoints::secret::rotate,
        ),
        keyed(
            &post,
            "/v1/endpoints/{id}/secret/promote",
            Customers,
            "promote_secret",
            endpoints::secret::promote,
        ),
        keyed(
            &delete,
            "/v1/endpoints/{id}/secret/previous",
            Customers,
            "remove_previous_secret",
            endpoints::secret::remove_previous,
        ),
        keyed(&get, "/v1/overview", Customers, "overview", statistics::overview),
        keyed(&get, "/v1/errors", Customers, "list_errors", statistics::errors),
        keyed(&get, "/v1/warnings", Customers, "list_warnings", statistics::warnings),
        keyed(&get, "/v1/deliveries", Customers, "list_deliveries", deliveries::list),
        keyed(&get, "/v1/deliveries/live", Customers, "watch_deliveries", live::watch),
        keyed(&get, "/v1/deliveries/{id}", Customers, "show_delivery", deliveries::show),
        keyed(&post, "/v1/deliveries/{id}/retry", Customers, "retry_delivery", deliveries::retry),
        keyed(&post, "/v1/deliveries/{id}/cancel", Customers, "cancel_delivery", deliveries::cancel),
        keyed(&get, "/v1/event-types", Customers, "list_event_types", event_types::list),
        keyed(&get, "/v1/event-types/{name}", Customers, "show_event_type", event_types::show),
        keyed(&put, "/v1/event-types/{name}", Admins, "put_event_type", event_types::put),
        keyed(&patch, "/v1/event-types/{name}", Admins, "change_event_type", event_types::patch),
        keyed(&delete, "/v1/event-types/{name}", Admins, "delete_event_type", event_types::delete),
        keyed(&get, "/v1/versions", Customers, "show_versions", versions::show),
        keyed(&put, "/v1/versions", Admins, "put_versions", versions::put),
        // Asks for a key in its body.
        open(&post, "/v1/session", Everybody, "sign_in", session::create),
        keyed(&get, "/v1/session", Customers, "show_session", session::show),
        keyed(&delete, "/v1/session", Customers, "sign_out", session::end),
        keyed(&post, "/v1/keys", Admins, "create_key", keys::create),
        keyed(&get, "/v1/keys", Admins, "list_keys", keys::list),
        keyed(&get, "/v1/keys/{id}", Admins, "show_key", keys::show),
        keyed(&delete, "/v1/keys/{id}", Admins, "revoke_key", keys::revoke),
        keyed(&post, "/v1/backup", Admins, "take_backup", backup::take),
        keyed(&get, "/v1/tenants", Admins, "list_tenants", tenants::list),
        keyed(&get, "/v1/tenants/{id}", Admins, "show_tenant", tenants::show),
        keyed(&patch, "/v1/tenants/{id}", Admins, "change_tenant", tenants::patch),
        keyed(&delete, "/v1/tenants/{id}", Admins, "delete_tenant", tenants::delete),
        keyed(&post, "/v1/tenants/{id}/portal", Admins, "create_portal_link", session::portal),
        keyed(&get, "/v1/host", Admins, "show_host", host::show),
        keyed(&patch, "/v1/host", Admins, "change_host", host::patch),
        keyed(&get, hooks::PATH, Customers, "list_webhooks", hooks::list),
        keyed(&post, hooks::PATH, Customers, "create_webhook", hooks::create),
        keyed(&patch, hooks::PATH, Customers, "change_webhook", hooks::patch),
        keyed(&delete, hooks::PATH, Customers, "delete_webhook", hooks::delete),
        keyed(&post, "/v1/transform", Customers, "transform", transform::run),
        keyed(&get, "/v1/plugins", Customers, "list_plugins", plugins::list),
        keyed(&get, "/v1/plugins/{name}", Customers, "show_plugin", plugins::show),
        keyed(&put, "/v1/plugins/{name}", Admins, "upload_plugin", plugins::upload),
        keyed(&delete, "/v1/plugins/{name}", Admins, "remove_plugin", plugins::remove),
        keyed(&get, "/v1/plugins/{name}/versions", Admins, "list_plugin_versions", plugins::versions),
        keyed(
            &delete,
            "/v1/plugins/{name}/versions/{digest}",
            Admins,
            "remove_plugin_version",
            plugins::remove_version,
        ),
        keyed(&post, "/v1/plugins/{name}/activate", Admins, "activate_plugin", plugins::activate),
        keyed(&post, "/v1/plugins/{name}/rollback", Admins, "roll_back_plugin", plugins::roll_back),
        keyed(&post, "/v1/plugins/{name}/backtest", Admins, "backtest_plugin", backtests::create),
        keyed(&get, "/v1/backtests", Admins, "list_backtests", backtests::list),
        keyed(&get, "/v1/backtests/{id}", Admins, "show_backtest", backtests::show),
        keyed(&post, "/v1/backtests/{id}/cancel", Admins, "cancel_backtest", backtests::cancel),
        keyed(&get, "/v1/plugins/{name}/stats", Admins, "plugin_stats", usage::of_plugin),
    ]
}

/// The table as a router, each operation behind the check of its callers.
pub(super) fn router(api: &Arc<Api>) -> Router<Arc<Api>> {
    let roles = &api.config.host.roles;
    let routes = table().into_iter().map(|route| route.within(roles));
    routes.fold(Router::new(), |router, Route { path, who, serve, .. }| match who {
        Who::Everybody => router.route(path, serve),
        who => {
            let check = middleware::from_fn_with_state((Arc::clone(api), who), auth::admit);
            router.route(path, serve.route_layer(check))
        }
    })
}

/// The arguments of a handler that knows who asks.
pub trait KnowsCaller {}

impl<M> KnowsCaller for (M, Caller) {}
impl<M, A> KnowsCaller for (M, Caller, A) {}
impl<M, A, B> KnowsCaller for (M, Caller, A, B) {}
impl<M, A, B, C> KnowsCaller for (M, Caller, A, B, C) {}
impl<M, A, B, C, D> KnowsCaller for (M, Caller, A, B, C, D) {}

fn keyed<H, T>(method: &Method, path: &'static str, who: Who, operation: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Api>>,
    T: KnowsCaller + 'static,
{
    open(method, path, who, operation, handler)
}

fn open<H, T>(method: &Method, path: &'static str, who: Who, operation: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    let serve = MethodFilter::try_from(method.clone()).map(|filter| on(filter, handler));
    Route { method: method.clone(), path, who, operation, serve: serve.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_stands_there_once() {
        let (mut places, mut names) = (HashSet::new(), HashSet::new());
        for route in table() {
            assert!(places.insert((route.method.clone(), route.path)), "{} {}", route.method, route.path);
            assert!(names.insert(route.operation), "{}", route.operation);
        }
    }

    #[test]
    fn what_is_no_probe_asks_for_a_key() {
        let open: Vec<_> = table().into_iter().filter(|route| route.who == Who::Everybody).collect();
        assert_eq!(
            open.iter().map(|r| r.path).collect::<Vec<_>>(),
            ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/session"]
        );
    }
}
