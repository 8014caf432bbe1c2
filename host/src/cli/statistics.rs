//! `stats` and `errors`: what was counted.

use clap::builder::PossibleValuesParser;
use serde::Deserialize;

use super::argument::Moment;
use super::client::{Client, Connection, Page, segment};
use super::endpoint;
use super::screen::{Paint, one_line, say};
use super::table::Table;
use crate::tally::Resolution;
use crate::time::{Clock as _, SystemClock};

/// How the host fares: deliveries, answer times, the queue, volume by event type
#[derive(Debug, clap::Args)]
pub struct Stats {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    connection: Connection,
}

/// Recent errors by endpoint and kind, each with a hint
#[derive(Debug, clap::Args)]
pub struct Errors {
    #[arg(long)]
    tenant: Option<String>,
    /// Id or name of an endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// A time in RFC 3339, or a span back from now such as 2h
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    since: Option<Moment>,
    /// Most to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Span {
    /// A time in RFC 3339, or a span back from now such as 2h [default: 24h]
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    since: Option<Moment>,
    /// A time in RFC 3339, or a span back from now [default: now]
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    until: Option<Moment>,
    /// How long the spans are that are counted apart
    #[arg(long, value_parser = PossibleValuesParser::new(Resolution::ALL.map(Resolution::word)))]
    resolution: Option<String>,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    since: String,
    until: String,
    status: Option<String>,
    totals: Counts,
    warnings: Vec<Warning>,
    buckets: Vec<Bucket>,
    queue: Queue,
    last_delivery_at: Option<String>,
    event_types: Vec<Volume>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    promised: u64,
    delivered: u64,
    failed: u64,
    filtered: u64,
    retried: u64,
    success_rate: Option<f64>,
    answer_ms: Option<AnswerTimes>,
}

#[derive(Debug, Deserialize)]
struct AnswerTimes {
    min: f64,
    avg: f64,
    max: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    start: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Queue {
    pending: u64,
    held: u64,
    oldest_pending_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Volume {
    #[serde(rename = "type")]
    event_type: String,
    events: u64,
    delivered: u64,
    failed: u64,
}

#[derive(Debug, Deserialize)]
struct Warning {
    kind: String,
    count: u64,
    hint: String,
}

#[derive(Debug, Deserialize)]
struct ErrorGroup {
    endpoint: String,
    endpoint_name: Option<String>,
    kind: String,
    title: String,
    hint: String,
    count: u64,
    last_at: String,
    last_delivery: String,
}

impl Stats {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let tenant = self.tenant.map(|tenant| ("tenant", tenant));
        let query: Vec<_> = self.span.query().into_iter().chain(tenant).collect();
        show(&client, "/v1/overview", &query, self.connection.json).await
    }
}

/// `endpoint stats`
pub async fn of_endpoint(client: &Client, endpoint: &str, span: &Span, json: bool) -> anyhow::Result<()> {
    let id = endpoint::find(client, endpoint).await?;
    show(client, &format!("/v1/endpoints/{}/stats", segment(&id)), &span.query(), json).await
}

impl Span {
    fn query(&self) -> Vec<(&'static str, String)> {
        let now = SystemClock.now();
        let time = |moment: Option<Moment>| moment.map(|moment| moment.resolve(now).to_string());
        let parameters = [
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("resolution", self.resolution.clone()),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

async fn show(client: &Client, path: &str, query: &[(&str, String)], json: bool) -> anyhow::Result<()> {
    let answer = client.get(path, query).await?;
    if json {
        return answer.print();
    }
    let shown: Shown = answer.read()?;
    Ok(say(&shown.text(Paint::stdout()))?)
}

impl Shown {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} to {}\n", one_line(&self.since), one_line(&self.until));
        for (name, value) in self.facts() {
            text += &format!("  {name:<13} {}\n", one_line(&value));
        }
        for (title, table) in [("Over time", self.over_time()), ("Event types", self.volumes())] {
            if let Some(table) = table {
                text += &format!("\n{}\n{table}", paint.bold(title));
            }
        }
        for Warning { kind, count, hint } in &self.warnings {
            text += &format!(
                "\n{} {} ({count} times)\n  {}\n",
                paint.odd("warning"),
                one_line(kind),
                one_line(hint)
            );
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let Self { totals, queue, .. } = self;
        let mut facts = Vec::new();
        facts.extend(self.status.clone().map(|status| ("status", status)));
        facts.push(("delivered", totals.delivered.to_string()));
        facts.push(("failed", totals.failed.to_string()));
        facts.push(("filtered", totals.filtered.to_string()));
        facts.push(("retries", totals.retried.to_string()));
        facts.extend(totals.success_rate.map(|rate| ("success rate", format!("{:.1} %", rate * 100.0))));
        facts.extend(totals.answer_ms.as_ref().map(|times| ("answers", times.text())));
        facts.push(("queue", queue.text()));
        facts.extend(self.last_delivery_at.clone().map(|time| ("last delivery", time)));
        facts
    }

    /// Spans without anything in them are left out.
    fn over_time(&self) -> Option<Table> {
        let busy =
            |bucket: &&Bucket| bucket.counts.promised + bucket.counts.delivered + bucket.counts.failed > 0;
        let mut table =
            Table::new(["FROM", "PROMISED", "DELIVERED", "FAILED", "FILTERED", "RETRIES", "AVG MS"]);
        for Bucket { start, counts } in self.buckets.iter().filter(busy) {
            let average = counts.answer_ms.as_ref().map(|times| format!("{:.1}", times.avg));
            table.row([
                start.clone(),
                counts.promised.to_string(),
                counts.delivered.to_string(),
                counts.failed.to_string(),
                counts.filtered.to_string(),
                counts.retried.to_string(),
                average.unwrap_or_default(),
            ]);
        }
        self.buckets.iter().any(|bucket| busy(&bucket)).then_some(table)
    }

    fn volumes(&self) -> Option<Table> {
        let mut table = Table::new(["TYPE", "EVENTS", "DELIVERED", "FAILED"]);
        for Volume { event_type, events, delivered, failed } in &self.event_types {
            table.row([event_type.clone(), events.to_string(), delivered.to_string(), failed.to_string()]);
        }
        (!self.event_types.is_empty()).then_some(table)
    }
}

impl AnswerTimes {
    fn text(&self) -> String {
        let Self { min, avg, max, p50, p95, p99 } = self;
        format!(
            "{min:.1} / {avg:.1} / {max:.1} ms (min/avg/max), {p50:.1} / {p95:.1} / {p99:.1} ms (p50/p95/p99)"
        )
    }
}

impl Queue {
    fn text(&self) -> String {
        let since = self.oldest_pending_at.as_ref().map(|time| format!(", the oldest since {time}"));
        format!("{} pending, {} of them held{}", self.pending, self.held, since.unwrap_or_default())
    }
}

impl Errors {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let answer = client.get("/v1/errors", &self.query(&client).await?).await?;
        if self.connection.json {
            return answer.print();
        }
        let page: Page<ErrorGroup> = answer.read()?;
        if page.items.is_empty() {
            eprintln!("No errors.");
        } else {
            say(&listed(&page.items, Paint::stdout()))?;
        }
        if let Some(cursor) = page.next {
            eprintln!("hint: there may be more, with `--cursor {}`", one_line(&cursor));
        }
        Ok(())
    }

    async fn query(&self, client: &Client) -> anyhow::Result<Vec<(&'static str, String)>> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => Some(endpoint::find(client, endpoint).await?),
            None => None,
        };
        let since = self.since.map(|moment| moment.resolve(SystemClock.now()).to_string());
        let parameters = [
            ("tenant", self.tenant.clone()),
            ("endpoint", endpoint),
            ("since", since),
            ("limit", Some(self.limit.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        Ok(parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

fn listed(groups: &[ErrorGroup], paint: Paint) -> String {
    let mut text = String::new();
    for group in groups {
        let endpoint = group.endpoint_name.as_ref().unwrap_or(&group.endpoint);
        text += &format!(
            "{}  {}  {} times, last at {} ({})\n  {}\n  {}\n",
            paint.bold(&one_line(endpoint)),
            paint.bad(&one_line(&group.title)),
            group.count,
            one_line(&group.last_at),
            one_line(&group.last_delivery),
            one_line(&group.kind),
            one_line(&group.hint),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_is_laid_out() {
        let counts = r#""promised":3,"delivered":2,"failed":1,"filtered":0,"retried":4,"success_rate":0.4,
            "answer_ms":{"count":7,"min":1.0,"avg":2.0,"max":30.0,"p50":1.5,"p95":20.0,"p99":30.0}"#;
        let text = format!(
            r#"{{"since":"A","until":"B","totals":{{{counts}}},"warnings":[{{"kind":"recovered","count":2,"hint":"Look."}}],
            "buckets":[{{"start":"A",{counts}}},{{"start":"A2","promised":0,"delivered":0,"failed":0,"filtered":0,
            "retried":0,"success_rate":null,"answer_ms":null}}],"queue":{{"pending":5,"held":1,"oldest_pending_at":"C"}},
            "last_delivery_at":null,"event_types":[{{"type":"audit.log","events":9,"delivered":2,"failed":1}}]}}"#
        );
        let shown: Shown = serde_json::from_str(&text).expect("an overview");
        let expected = "A to B\n  delivered     2\n  failed        1\n  filtered      0\n  retries       4\n  \
            success rate  40.0 %\n  answers       1.0 / 2.0 / 30.0 ms (min/avg/max), 1.5 / 20.0 / 30.0 ms (p50/p95/p99)\n  \
            queue         5 pending, 1 of them held, the oldest since C\n\n\
            Over time\nFROM  PROMISED  DELIVERED  FAILED  FILTERED  RETRIES  AVG MS\n\
            A     3         2          1       0         4        2.0\n\n\
            Event types\nTYPE       EVENTS  DELIVERED  FAILED\naudit.log  9       2          1\n\n\
            warning recovered (2 times)\n  Look.\n";
        assert_eq!(shown.text(Paint::stdout()), expected);
    }
}
