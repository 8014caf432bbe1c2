//! Reads a database from end to end, as of one moment, with a bounded number of rows in memory.

use std::collections::{BTreeMap, VecDeque};

use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Portal, Row};

use crate::event::{ContentDigest, ProducerId, Tenant};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::copy::{
    CopiedDelivery, CopiedEvent, Count, Cursor, Kind, Mark, Outbox, PROGRESS_SETTING, ProducerName, Record,
};
use crate::store::plugins::{ComponentDigest, ComponentRow, PluginRow};
use crate::store::redb::record::{self, corrupt};
use crate::store::redb::{counters, jobs};
use crate::store::{DocumentKind, DocumentRow, EndpointRow, ErrorGroup, Place, Standing};
use crate::tally::Tally;
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::super::append;
use super::super::row::{self, Id, place_key, place_of, sequence_key, time};
use super::super::transaction::{Done, Shared};

/// Rows that are fetched at once: few at first, then as many as make up so many bytes.
const FIRST_ROWS: i32 = 32;
const MOST_ROWS: usize = 2_000;
const BYTES: usize = 1 << 20;

pub async fn everything(shared: &Shared, after: &Mark, outbox: Outbox) -> Done<()> {
    let mut client = shared.connection().await?;
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    transaction.batch_execute(include_str!("../sql/copy_settle_in.sql")).await?;
    let mut reader = Reader { transaction: &transaction, outbox };
    for kind in Kind::ALL.into_iter().filter(|kind| !after.is_behind(*kind)) {
        match kind {
            Kind::Setting => reader.settings().await?,
            Kind::Endpoint => reader.endpoints().await?,
            Kind::Document => reader.documents().await?,
            Kind::Plugin => reader.plugins().await?,
            Kind::Component => reader.components().await?,
            Kind::Event => reader.history(after).await?,
            Kind::Delivery | Kind::Attempt => {}
            Kind::Name => reader.names(after).await?,
            Kind::Job => reader.jobs().await?,
            Kind::Count => reader.counts(after).await?,
            Kind::Standing => reader.standings().await?,
            Kind::StoredBytes => reader.stored_bytes().await?,
            Kind::ErrorGroup => reader.errors().await?,
            Kind::Head => reader.heads().await?,
        }
    }
    Ok(reader.outbox.send(Mark::End).await?)
}

struct Reader<'a> {
    transaction: &'a tokio_postgres::Transaction<'a>,
    outbox: Outbox,
}

impl<'a> Reader<'a> {
    async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Done<Rows<'a>> {
        let statement = self.transaction.prepare(sql).await?;
        let portal = self.transaction.bind(&statement, values).await?;
        let transaction = self.transaction;
        Ok(Rows { transaction, portal, fetched: VecDeque::new(), wanted: FIRST_ROWS, ended: false })
    }

    async fn put(&mut self, record: Record, mark: impl FnOnce() -> Mark) -> Done<()> {
        if self.outbox.push(record) {
            self.outbox.send(mark()).await?;
        }
        Ok(())
    }

    async fn settings(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/copy_settings.sql"), &[&PROGRESS_SETTING]).await?;
        while let Some(row) = rows.next().await? {
            let setting = Record::Setting { name: row.try_get("name")?, value: row.try_get("value")? };
            self.put(setting, || Mark::Before(Kind::Setting)).await?;
        }
        Ok(())
    }

    async fn endpoints(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/endpoints.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let endpoint = EndpointRow {
                id: EndpointId::from_u128(row.try_get::<_, Id>("id")?.0),
                revision: unsigned(&row, "revision")?,
                held: row.try_get("held")?,
                order: row::order(row.try_get("ordering")?, row.try_get("aside_after")?)?,
                judged_from: Timestamp::from_micros(row.try_get("judged_from")?),
                document: row.try_get("document")?,
            };
            self.put(Record::Endpoint(endpoint), || Mark::Before(Kind::Endpoint)).await?;
        }
        Ok(())
    }

    async fn documents(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/documents.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let word: &str = row.try_get("kind")?;
            let unknown = || corrupt(format!("a document is of the unknown kind `{word}`"));
            let document = DocumentRow {
                kind: DocumentKind::parse(word).ok_or_else(unknown)?,
                name: row.try_get("name")?,
                revision: unsigned(&row, "revision")?,
                document: row.try_get("document")?,
            };
            self.put(Record::Document(document), || Mark::Before(Kind::Document)).await?;
        }
        Ok(())
    }

    async fn plugins(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/plugins.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let plugin = PluginRow {
                name: row.try_get("name")?,
                revision: unsigned(&row, "revision")?,
                document: row.try_get("document")?,
            };
            self.put(Record::Plugin(plugin), || Mark::Before(Kind::Plugin)).await?;
        }
        Ok(())
    }

    async fn components(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/components.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let key: &[u8] = row.try_get("digest")?;
            let found = self.transaction.query_one(include_str!("../sql/component.sql"), &[&key]).await?;
            let bytes: Vec<u8> = found.try_get("bytes")?;
            let component = ComponentRow {
                digest: ComponentDigest(key.try_into().map_err(corrupt)?),
                size: unsigned(&row, "size")?,
                kept_at: Timestamp::from_micros(row.try_get("kept_at")?),
            };
            let record = Record::Component { row: component, bytes: bytes.into() };
            self.put(record, || Mark::Before(Kind::Component)).await?;
        }
        Ok(())
    }

    /// Events, what waits, what has ended, and attempts side by side, all in the order of their places.
    async fn history(&mut self, after: &Mark) -> Done<()> {
        let (sequence, done) = match after {
            Mark::History { sequence, ordinal } => (*sequence, Some(*ordinal)),
            _ => (0, None),
        };
        let from = match done.flatten() {
            Some(ordinal) => place_key(Place { sequence, ordinal }) + 1,
            None => place_key(Place { sequence, ordinal: 0 }),
        };
        let first = sequence_key(sequence);
        let mut events = self.rows(include_str!("../sql/copy_events.sql"), &[&first]).await?;
        let mut waiting = self.rows(include_str!("../sql/copy_queue.sql"), &[&from]).await?;
        let mut ended = self.rows(include_str!("../sql/copy_deliveries.sql"), &[&from]).await?;
        let mut attempts = self.rows(include_str!("../sql/copy_attempts.sql"), &[&from]).await?;
        while let Some(row) = events.next().await? {
            let at = unsigned(&row, "sequence")?;
            if done.is_none() || at > sequence {
                let next_ordinal = u32::try_from(row.try_get::<_, i32>("next_ordinal")?).map_err(corrupt)?;
                let event = CopiedEvent { row: row.try_get("row")?, next_ordinal };
                self.put(Record::Event(event), || Mark::History { sequence: at, ordinal: None }).await?;
            }
            loop {
                let last = place_key(Place { sequence: at, ordinal: u16::MAX });
                let (waits, has_ended) = (waiting.place().await?, ended.place().await?);
                let Some(place) = waits.into_iter().chain(has_ended).min().filter(|place| *place <= last)
                else {
                    break;
                };
                let (row, delivery, turn) = if waits == Some(place) {
                    let row = waiting.taken().await?;
                    let delivery = row::delivery(row.try_get("row")?, Some(row.try_get("due")?))?;
                    let turn: Option<i64> = row.try_get("turn")?;
                    (None, delivery, turn.map(i64::unsigned_abs))
                } else {
                    let row = ended.taken().await?;
                    let delivery = row::delivery(row.try_get("row")?, None)?;
                    (Some(row), delivery, None)
                };
                let mut copied = CopiedDelivery { delivery, turn, attempts: Vec::new() };
                while attempts.place().await? == Some(place) {
                    let row = attempts.taken().await?;
                    let number = u32::try_from(row.try_get::<_, i64>("number")?).map_err(corrupt)?;
                    copied.attempts.push((number, row.try_get("row")?));
                }
                let last: Option<Vec<u8>> = row.map(|row| row.try_get("attempt")).transpose()?.flatten();
                if let Some(line) = last {
                    let attempt = record::decode_journal(&line)?.1;
                    copied.attempts.extend(attempt.map(|attempt| (attempt.number, line)));
                }
                let mark = || Mark::History { sequence: at, ordinal: Some(place_of(place).ordinal) };
                self.put(Record::Delivery(Box::new(copied)), mark).await?;
            }
        }
        for rows in [&mut waiting, &mut ended, &mut attempts] {
            if let Some(place) = rows.place().await? {
                return Err(corrupt(format!("what is at {place} has no event or no delivery")).into());
            }
        }
        Ok(())
    }

    async fn names(&mut self, after: &Mark) -> Done<()> {
        let (tenant, name) = match after {
            Mark::Name { tenant, name } => (tenant.as_str(), name.as_str()),
            _ => ("", ""),
        };
        let mut rows = self.rows(include_str!("../sql/copy_names.sql"), &[&tenant, &name]).await?;
        while let Some(row) = rows.next().await? {
            let (tenant, name): (&str, &str) = (row.try_get("tenant")?, row.try_get("producer_id")?);
            let content: &[u8] = row.try_get("content")?;
            let named = ProducerName {
                tenant: Tenant::parse(tenant).map_err(corrupt)?,
                name: ProducerId::parse(name).map_err(corrupt)?,
                event: EventId::from_u128(row.try_get::<_, Id>("event")?.0),
                content: ContentDigest(content.try_into().map_err(corrupt)?),
                deliveries: u32::try_from(row.try_get::<_, i64>("deliveries")?).map_err(corrupt)?,
            };
            let mark = || Mark::Name { tenant: tenant.to_owned(), name: name.to_owned() };
            self.put(Record::Name(named), mark).await?;
        }
        Ok(())
    }

    async fn jobs(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/jobs.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let id = JobId::from_u128(row.try_get::<_, Id>("id")?.0);
            let mut job = jobs::read(id, row.try_get("row")?)?;
            let cursor = match job.progress.cursor.take() {
                Some(place) => Some(self.cursor(place).await?),
                None => None,
            };
            self.put(Record::Job { job, cursor }, || Mark::Before(Kind::Job)).await?;
        }
        Ok(())
    }

    /// The first event from there on: what stands before the place stands before that too.
    async fn cursor(&self, place: Place) -> Done<Cursor> {
        let sequence = sequence_key(place.sequence);
        let sql = include_str!("../sql/copy_event_after.sql");
        let Some(row) = self.transaction.query_opt(sql, &[&sequence]).await? else { return Ok(Cursor::End) };
        let event = row.try_get::<_, Id>("id")?.0;
        let ordinal = if row.try_get::<_, i64>("sequence")? == sequence { place.ordinal } else { 0 };
        Ok(Cursor::Before { event, ordinal })
    }

    /// The shards of a count follow on each other.
    async fn counts(&mut self, after: &Mark) -> Done<()> {
        let (resolution, bucket, scope) = match after {
            Mark::Count { resolution, bucket, scope } => (i16::from(*resolution), *bucket, scope.as_slice()),
            _ => (-1, 0, &[][..]),
        };
        let sql = include_str!("../sql/copy_tallies.sql");
        let mut rows = self.rows(sql, &[&resolution, &scope, &bucket]).await?;
        let mut sum: Option<Count> = None;
        while let Some(row) = rows.next().await? {
            let resolution = u8::try_from(row.try_get::<_, i16>("resolution")?).map_err(corrupt)?;
            let (scope, bucket): (Vec<u8>, i64) = (row.try_get("scope")?, row.try_get("bucket")?);
            let tally = counters::decode_tally(row.try_get("row")?)?;
            match &mut sum {
                Some(sum) if (sum.resolution, &sum.scope, sum.bucket) == (resolution, &scope, bucket) => {
                    sum.tally.add(&tally);
                }
                _ => {
                    let whole = sum.replace(Count { resolution, bucket, scope, tally });
                    self.put_count(whole).await?;
                }
            }
        }
        self.put_count(sum).await
    }

    async fn put_count(&mut self, count: Option<Count>) -> Done<()> {
        let Some(count) = count.filter(|count| count.tally != Tally::default()) else { return Ok(()) };
        let Count { resolution, bucket, scope, .. } = count.clone();
        self.put(Record::Count(count), || Mark::Count { resolution, bucket, scope }).await
    }

    async fn standings(&mut self) -> Done<()> {
        let rows = self.transaction.query(include_str!("../sql/copy_standings.sql"), &[]).await?;
        for row in rows {
            let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
            let health: Health = append::health(&row)?;
            let pending: i64 = row.try_get("pending")?;
            let standing = Standing {
                pending: u64::try_from(pending).unwrap_or_default(),
                oldest_pending_at: None,
                health,
                last_attempt_at: time(row.try_get("last_attempt_at")?),
                last_delivery_at: time(row.try_get("last_delivery_at")?),
                last_event_at: time(row.try_get("last_event_at")?),
            };
            if standing != Standing::default() {
                self.put(Record::Standing { endpoint, standing }, || Mark::Before(Kind::Standing)).await?;
            }
        }
        Ok(())
    }

    async fn stored_bytes(&mut self) -> Done<()> {
        let rows = self.transaction.query(include_str!("../sql/copy_stored_bytes.sql"), &[]).await?;
        for row in rows {
            let tenant = Tenant::parse(row.try_get("tenant")?).map_err(corrupt)?;
            let record = Record::StoredBytes { tenant, bytes: unsigned(&row, "bytes")? };
            self.put(record, || Mark::Before(Kind::StoredBytes)).await?;
        }
        Ok(())
    }

    async fn errors(&mut self) -> Done<()> {
        let mut rows = self.rows(include_str!("../sql/copy_errors.sql"), &[]).await?;
        while let Some(row) = rows.next().await? {
            let word: &str = row.try_get("kind")?;
            let unknown = || corrupt(format!("`{word}` is no kind of error that this version knows"));
            let group = ErrorGroup {
                endpoint: EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0),
                tenant: Tenant::parse(row.try_get("tenant")?).map_err(corrupt)?,
                trouble: Trouble::parse(word).ok_or_else(unknown)?,
                count: unsigned(&row, "count")?,
                first_at: Timestamp::from_micros(row.try_get("first_at")?),
                last_at: Timestamp::from_micros(row.try_get("last_at")?),
                last_delivery: DeliveryId::from_u128(row.try_get::<_, Id>("last_delivery")?.0),
                last_message: String::from_utf8(row.try_get("last_message")?).map_err(corrupt)?,
            };
            self.put(Record::ErrorGroup(group), || Mark::Before(Kind::ErrorGroup)).await?;
        }
        Ok(())
    }

    async fn heads(&mut self) -> Done<()> {
        let mut heads: BTreeMap<EndpointId, DeliveryId> = BTreeMap::new();
        for row in self.transaction.query(include_str!("../sql/copy_heads.sql"), &[]).await? {
            let event = EventId::from_u128(row.try_get::<_, Id>("event")?.0);
            let ordinal = u16::try_from(row.try_get::<_, i32>("ordinal")?).map_err(corrupt)?;
            let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
            heads.insert(endpoint, DeliveryId::of(event, ordinal));
        }
        for (endpoint, delivery) in heads {
            self.put(Record::Head { endpoint, delivery }, || Mark::Before(Kind::Head)).await?;
        }
        Ok(())
    }
}

fn unsigned(row: &Row, column: &str) -> Done<u64> {
    Ok(row.try_get::<_, i64>(column)?.unsigned_abs())
}

/// Rows of a statement, fetched some at a time.
struct Rows<'a> {
    transaction: &'a tokio_postgres::Transaction<'a>,
    portal: Portal,
    fetched: VecDeque<Row>,
    wanted: i32,
    ended: bool,
}

impl Rows<'_> {
    async fn fetch(&mut self) -> Done<()> {
        if !self.fetched.is_empty() || self.ended {
            return Ok(());
        }
        let rows = self.transaction.query_portal(&self.portal, self.wanted).await?;
        self.ended = rows.len() < self.wanted as usize;
        let bytes: usize = rows.iter().map(Row::raw_size_bytes).sum();
        let average = (bytes / rows.len().max(1)).max(1);
        self.wanted = (BYTES / average).clamp(1, MOST_ROWS) as i32;
        self.fetched = rows.into();
        Ok(())
    }

    async fn next(&mut self) -> Done<Option<Row>> {
        self.fetch().await?;
        Ok(self.fetched.pop_front())
    }

    /// Of the next row.
    async fn place(&mut self) -> Done<Option<i64>> {
        self.fetch().await?;
        self.fetched.front().map(|row| Ok(row.try_get("place")?)).transpose()
    }

    /// The next row, which is there.
    async fn taken(&mut self) -> Done<Row> {
        Ok(self.next().await?.ok_or_else(|| corrupt("a row went away"))?)
    }
}
