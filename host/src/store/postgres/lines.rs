//! The lines of the endpoints that keep an order.
//!
//! Of a line, only the head has no turn. Whoever changes a line holds its row of `heads`.

use std::collections::{HashMap, HashSet};

use crate::endpoint::Order;
use crate::id::EndpointId;

use super::append::sorted_ids;
use super::row::Id;
use super::transaction::{Done, Transaction, Value};

/// Lines that are locked until the end of the transaction.
#[derive(Debug, Default)]
pub struct Lines {
    lines: HashMap<EndpointId, Line>,
    changed: HashSet<EndpointId>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    /// The place of the delivery at its head.
    head: Option<i64>,
    next_turn: i64,
}

impl Lines {
    pub async fn lock(transaction: &Transaction, endpoints: Vec<EndpointId>) -> Done<Self> {
        let mut lines = HashMap::new();
        if endpoints.is_empty() {
            return Ok(Self::default());
        }
        let ids = sorted_ids(endpoints);
        for row in transaction.query(include_str!("sql/lock_heads.sql"), &[&ids]).await? {
            let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
            let line = Line { head: row.try_get("head")?, next_turn: row.try_get("next_turn")? };
            lines.insert(endpoint, line);
        }
        Ok(Self { lines, changed: HashSet::new() })
    }

    /// The turn of a new delivery that has to stand in line. Where it need not and its endpoint keeps an order, it is
    /// the head now.
    pub fn join(&mut self, endpoint: EndpointId, order: Order, place: i64) -> Option<i64> {
        let line = self.lines.get_mut(&endpoint).filter(|_| order.is_kept())?;
        self.changed.insert(endpoint);
        if line.head.is_none() {
            line.head = Some(place);
            return None;
        }
        line.next_turn += 1;
        Some(line.next_turn - 1)
    }

    /// These deliveries, which are not behind the head, have ended or step aside: where one was the head, the next one
    /// follows.
    pub async fn leave(&mut self, transaction: &Transaction, leavers: &[(EndpointId, i64)]) -> Done<()> {
        let mut headless = Vec::new();
        for (endpoint, place) in leavers {
            if let Some(line) = self.lines.get_mut(endpoint).filter(|line| line.head == Some(*place)) {
                line.head = None;
                self.changed.insert(*endpoint);
                headless.push(*endpoint);
            }
        }
        self.advance(transaction, headless).await
    }

    /// Gives lines without a head their first one.
    pub async fn advance(&mut self, transaction: &Transaction, headless: Vec<EndpointId>) -> Done<()> {
        if headless.is_empty() {
            return Ok(());
        }
        let ids = sorted_ids(headless);
        for row in transaction.query(include_str!("sql/advance_lines.sql"), &[&ids]).await? {
            let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
            if let Some(line) = self.lines.get_mut(&endpoint) {
                line.head = Some(row.try_get("place")?);
                self.changed.insert(endpoint);
            }
        }
        Ok(())
    }

    pub fn has_head(&self, endpoint: EndpointId) -> bool {
        self.lines.get(&endpoint).is_some_and(|line| line.head.is_some())
    }

    pub fn write(&self, transaction: &Transaction) {
        let changed: Vec<_> =
            self.lines.iter().filter(|(endpoint, _)| self.changed.contains(endpoint)).collect();
        if changed.is_empty() {
            return;
        }
        let endpoints: Vec<Id> = changed.iter().map(|(id, _)| Id(id.as_u128())).collect();
        let heads: Vec<Option<i64>> = changed.iter().map(|(_, line)| line.head).collect();
        let turns: Vec<i64> = changed.iter().map(|(_, line)| line.next_turn).collect();
        let values: Vec<Value> = vec![Box::new(endpoints), Box::new(heads), Box::new(turns)];
        transaction.later(include_str!("sql/write_heads.sql"), values);
    }
}
