//! The command line: `serve` and `demo` run the host, the rest are clients of its API.
//!
//! Data goes to stdout, all else to stderr. Exit codes: 0; 1 with a sentence where something went wrong; 2 where
//! the command was not understood.

use crate::layout as json;
use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apply;
mod argument;
mod backup;
mod client;
mod completions;
mod delivery;
mod demo;
mod endpoint;
mod event;
mod event_type;
mod healthcheck;
mod host;
mod init;
mod key;
mod listen;
mod migrate;
mod plugin;
mod preset;
mod recipe;
mod rekey;
mod replay;
mod screen;
mod serve;
mod signals;
mod statistics;
mod store;
mod table;
mod tenant;
mod terms;
mod transform;
mod verify;
mod version;

/// A self-hosted webhook delivery server whose deliveries are shaped by WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "hookwright", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Migrate(migrate::Migrate),
    Demo(demo::Demo),
    Init(init::Init),
    Apply(apply::Apply),
    Recipe(recipe::Recipes),
    Event(event::Event),
    EventType(event_type::EventType),
    Version(version::Version),
    Endpoint(endpoint::Endpoint),
    Delivery(delivery::Delivery),
    Stats(statistics::Stats),
    Errors(statistics::Errors),
    Plugin(plugin::Plugin),
    Transform(transform::Transform),
    Key(key::Key),
    Tenant(tenant::Tenant),
    Host(host::Host),
    Replay(replay::Replay),
    Listen(listen::Listen),
    Verify(verify::Verify),
    Completions(completions::Completions),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Healthcheck(healthcheck::Healthcheck),
    Rekey(rekey::Rekey),
    Store(store::Store),
}

/// Does what the arguments of the process say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        // Whoever read along has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", screen::printable(&sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(serve) => serve.run().await.map(|()| ExitCode::SUCCESS),
            Command::Migrate(migrate) => migrate.run().await.map(|()| ExitCode::SUCCESS),
            Command::Demo(demo) => demo.run().await,
            Command::Init(init) => init.run().map(|()| ExitCode::SUCCESS),
            Command::Apply(apply) => apply.run().await.map(|()| ExitCode::SUCCESS),
            Command::Recipe(recipes) => recipes.run().map(|()| ExitCode::SUCCESS),
            Command::Event(event) => event.run().await.map(|()| ExitCode::SUCCESS),
            Command::EventType(event_type) => event_type.run().await.map(|()| ExitCode::SUCCESS),
            Command::Version(version) => version.run().await.map(|()| ExitCode::SUCCESS),
            Command::Endpoint(endpoint) => endpoint.run().await.map(|()| ExitCode::SUCCESS),
            Command::Delivery(delivery) => delivery.run().await.map(|()| ExitCode::SUCCESS),
            Command::Stats(stats) => stats.run().await.map(|()| ExitCode::SUCCESS),
            Command::Errors(errors) => errors.run().await.map(|()| ExitCode::SUCCESS),
            Command::Key(key) => key.run().await.map(|()| ExitCode::SUCCESS),
            Command::Tenant(tenant) => tenant.run().await.map(|()| ExitCode::SUCCESS),
            Command::Host(host) => host.run().await.map(|()| ExitCode::SUCCESS),
            Command::Replay(replay) => replay.run().await.map(|()| ExitCode::SUCCESS),
            Command::Plugin(plugin) => plugin.run().await.map(|()| ExitCode::SUCCESS),
            Command::Transform(transform) => transform.run().await.map(|()| ExitCode::SUCCESS),
            Command::Listen(listen) => listen.run().await.map(|()| ExitCode::SUCCESS),
            Command::Verify(verify) => verify.run(),
            Command::Completions(completions) => completions.run().map(|()| ExitCode::SUCCESS),
            Command::Backup(backup) => backup.run().await.map(|()| ExitCode::SUCCESS),
            Command::Restore(restore) => restore.run().await.map(|()| ExitCode::SUCCESS),
            Command::Healthcheck(check) => check.run().await.map(|()| ExitCode::SUCCESS),
            Command::Rekey(rekey) => rekey.run().await.map(|()| ExitCode::SUCCESS),
            Command::Store(store) => store.run().await.map(|()| ExitCode::SUCCESS),
        }
    });
    // What still runs has had its chance: `serve` drains before it returns.
    runtime.shutdown_background();
    result
}

/// An error with its causes, but for those that it has told already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        for line in [
            "serve",
            "serve --listen 127.0.0.1:0 --data-dir d --allow-target 10.0.0.0/8 --allow-target ::1/128",
            "serve --store postgres://h/hookwright --store-password-file p",
            "migrate --store postgres://h/hookwright",
            "demo --once",
            "event send invoice.paid --data {\"a\":1} --tenant t --id i --channel a --channel b",
            "event send --data @events.ndjson",
            "endpoint add crm https://example.com/hook --event invoice.* --retry 1m,5m --success 200,204",
            "endpoint add crm https://example.com/hook --event * --every 10s --for 72h --signature hmac:X-A:sha256=",
            "endpoint add crm https://example.com/hook --event * --api-version 2026-03",
            "event-type list --group Payments --json",
            "event-type show invoice.paid",
            "event-type put invoice.paid -f invoice.json",
            "event-type put invoice.paid --file -",
            "event-type delete invoice.paid --yes",
            "version list",
            "version show --json",
            "version put -f versions.json",
            "endpoint list --json",
            "endpoint --url http://h:1 list",
            "endpoint delete ep_x --yes",
            "endpoint add crm https://example.com/hook --event * --signature standard-asymmetric",
            "endpoint secret show crm",
            "endpoint secret rotate crm --overlap 0s --secret @secret.txt --json",
            "endpoint secret promote crm",
            "endpoint secret remove-previous crm",
            "listen --secret whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4= --scheme standard-asymmetric",
            "delivery list --state failed --since 1h",
            "delivery show dlv_x",
            "delivery retry dlv_x",
            "endpoint test crm --type invoice.paid --data {\"a\":1}",
            "event replay evt_x --endpoint crm --new-id",
            "replay --endpoint crm --state failed --since 1h --wait",
            "replay --endpoint crm --missing --json",
            "replay list",
            "replay show job_x",
            "replay cancel job_x",
            "stats --since 2h --resolution minute --json",
            "stats --tenant acme",
            "endpoint stats ep_x --since 7d",
            "errors --endpoint crm --since 1h",
            "key create ingest --json",
            "key create tenant --tenant acme --expires 90d --description portal",
            "key revoke key_x --yes",
            "tenant list",
            "tenant set acme --bearer @token --ingest 100/1s --stored-bytes 1000000",
            "tenant online acme --waiting skip",
            "tenant delete acme --force --yes",
            "tenant portal acme --expires 30m",
            "host show",
            "host set --timeout 30s --success 200,201,204 --unset auth",
            "host offline",
            "host online --waiting deliver --json",
            "plugin list",
            "plugin inspect flatten",
            "plugin new lead-score --lang python --path somewhere",
            "plugin build",
            "plugin test --watch --update",
            "plugin test dist/a.wasm --cases cases --json",
            "plugin run . --config {} --input @payload.json --event-type a.b",
            "plugin push . --watch --name a",
            "rekey --data-dir d --new-key-file k --json",
            "rekey --store postgres://h/hookwright --store-password-file p",
            "store copy --from redb:d --to postgres://h/hookwright --store-password-file p",
            "store copy --from postgres://h/hookwright --to redb:d/hookwright.redb --anew --json",
            "listen --port 0 --fail 2",
            "init --preset rkt",
            "apply -f catalogue.toml --prune --yes",
            "apply --file catalogue.toml --dry-run --json",
            "verify --secret whsec_x --request @request.txt --json",
            "verify --secret @secret --scheme hmac:X-A:sha256= -H X-A:1 -H b:2 --body - --at 2026-03-22T08:30:00Z",
            "completions bash",
            "serve --tls-cert c --tls-key k --ca-file ca --egress-proxy http://u:p@proxy:1",
            "backup all.backup --force --url http://h:1 --ca-file ca.pem",
            "restore all.backup --data-dir d",
            "healthcheck --url https://h:1 --timeout 1s --live",
            "healthcheck --config c.toml",
            "listen --listen 127.0.0.1:0 --status 503",
        ] {
            let words = std::iter::once("hookwright").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn no_cause_is_told_twice() {
        let error = anyhow::anyhow!("os error 2").context("x cannot be read: os error 2").context("no start");
        assert_eq!(sentence(&error), "no start: x cannot be read: os error 2");
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "endpoint add a https://a.example --event * --retry 1m --every 10s",
            "endpoint add a https://a.example --event * --for 72h",
            "endpoint add a https://a.example --event * --bearer t --basic u:p",
            "endpoint add a https://a.example",
            "endpoint add a https://a.example --event * --every soon",
            "endpoint add a https://a.example --event * --success 99",
            "listen --port 1 --listen 127.0.0.1:0",
            "listen --scheme md5",
            "listen --secret swordfish",
            "delivery list --state gone",
            "init --preset unknown",
            "apply",
            "apply -f a.toml --dry-run --yes",
            "verify --body {}",
            "verify --secret s",
            "verify --secret s --body {} --request @r",
            "verify --secret s --request @r -H a:b",
            "verify --secret s --body {} -H nothing",
            "completions csh",
            "plugin new a --lang go",
            "store copy --from redb:d",
            "plugin run .",
            "key create root",
            "key create tenant",
            "host set --retry 1m --every 10s",
        ] {
            let words = std::iter::once("hookwright").chain(line.split(' '));
            let error = Cli::try_parse_from(words).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
