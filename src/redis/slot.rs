//! A slot: its keys, what is read of it, and the scripts that change it.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use redis::{Cmd, FromRedisValue, Script, Value, cmd};

use super::error::{RedisError, WriteError};
use super::node::Node;
use super::route::hash_slot;
use super::{Redis, Row, Table};

/// What a name is written without, so that it is one word, and no brace of it ends the hash tag.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// Rows in one command of a script: Lua takes no more than about 8,000 arguments.
const CHUNK: usize = 1000;
/// How often something is sent, to other servers or on other connections, before its error stands.
const ATTEMPTS: u32 = 4;
/// Seconds for which it is remembered who deleted a slot, so that nobody who had it before writes it again.
const REMEMBERED: u32 = 24 * 60 * 60;

/// The right to write a slot. Clones do not exist: a slot is written by one at a time, one write after the other.
#[derive(Debug)]
pub(crate) struct Epoch {
    number: u64,
    /// Tells holders of the same number apart, which there are if fail-over forgot one of them.
    nonce: u64,
    owner: String,
    /// The number of the last write that was begun.
    sequence: u64,
}

impl Epoch {
    pub(super) const fn new(number: u64, nonce: u64, owner: String) -> Self {
        Self { number, nonce, owner, sequence: 0 }
    }

    /// Higher than all earlier ones of the slot.
    #[cfg(test)]
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

/// What is written of whoever has a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    epoch: u64,
    /// All of it, the number of the last write included.
    text: String,
    /// Its name.
    pub(crate) holder: String,
}

impl Fence {
    fn read(text: String) -> Self {
        let mut words = text.splitn(4, ' ');
        let epoch = words.next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let holder = words.nth(2).unwrap_or_default().to_owned();
        Self { epoch, holder, text }
    }
}

/// An MT that is left for the holder of a slot.
#[derive(Clone, Debug)]
pub(crate) struct Deposit {
    /// Where it lies among the deposits.
    pub(crate) key: Vec<u8>,
    /// It.
    pub(crate) value: Vec<u8>,
    /// Where its id leads from, which nothing else has.
    pub(crate) id: Vec<u8>,
    /// What says where it is.
    pub(crate) place: Vec<u8>,
    /// Another key that leads to `id`.
    pub(crate) alias: Option<Vec<u8>>,
}

/// The scripts, with their hashes.
pub(super) struct Scripts {
    write: Kept,
    range: Kept,
    deposit: Kept,
    pub(super) take: Kept,
    pub(super) renew: Kept,
    pub(super) release: Kept,
    pub(super) announce: Kept,
    pub(super) bump: Kept,
}

/// A script that the server may have.
pub(super) struct Kept {
    source: &'static str,
    hash: String,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let kept = |source| Kept { source, hash: Script::new(source).get_hash().to_owned() };
        Self {
            write: kept(include_str!("write.lua")),
            range: kept(include_str!("range.lua")),
            deposit: kept(include_str!("deposit.lua")),
            take: kept(include_str!("take.lua")),
            renew: kept(include_str!("renew.lua")),
            release: kept(include_str!("release.lua")),
            announce: kept(include_str!("announce.lua")),
            bump: kept(include_str!("bump.lua")),
        }
    }
}

impl Kept {
    /// A call by hash, or with the whole script for a server that does not have it.
    pub(super) fn call(&self, whole: bool, keys: &[&str]) -> Cmd {
        let mut call = if whole { cmd("EVAL") } else { cmd("EVALSHA") };
        call.arg(if whole { self.source } else { &self.hash }).arg(keys.len()).arg(keys);
        call
    }
}

/// A slot of a [`Redis`].
#[derive(Clone)]
pub(crate) struct Slot {
    pub(super) redis: Redis,
    pub(super) named: Arc<Named>,
}

pub(super) struct Named {
    pub(super) name: String,
    pub(super) hash_slot: u16,
    /// How the names of its keys begin.
    stem: String,
    pub(super) fence: String,
    pub(super) lease: String,
    tables: [Keys; 9],
}

/// The keys of a table.
struct Keys {
    rows: String,
    order: String,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.named.name).finish()
    }
}

impl Slot {
    pub(super) fn new(redis: Redis, name: &str) -> Self {
        let mut tag = utf8_percent_encode(name, ENCODED).to_string();
        if tag.is_empty() {
            // An empty tag is none: each key would have a hash slot of its own.
            tag.push('%');
        }
        let stem = format!("{}:{{{tag}}}:", redis.0.config.prefix);
        let key = |what: &str| format!("{stem}{what}");
        let tables = Table::ALL.map(|table| {
            let name = table.name();
            Keys { rows: key(name), order: key(&format!("{name}:order")) }
        });
        let (fence, lease) = (key("fence"), key("lease"));
        let named = Named { name: name.to_owned(), hash_slot: hash_slot(tag.as_bytes()), stem, fence, lease, tables };
        Self { redis, named: Arc::new(named) }
    }

    /// A key of it beside its tables.
    pub(super) fn key(&self, what: &str) -> String {
        format!("{}{what}", self.named.stem)
    }

    /// One row's value.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RedisError> {
        self.ask(cmd("HGET").arg(&self.keys(table).rows).arg(key)).await
    }

    /// The rows from `from` until before `to` (the end, for `None`), `limit` at most, the last ones first if `backwards`.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn range(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, RedisError> {
        if !table.is_ordered() {
            return Err(RedisError::Unordered(table.name()));
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let from = [b"[", from].concat();
        let to = to.map_or_else(|| b"+".to_vec(), |to| [b"(", to].concat());
        let keys = self.keys(table);
        let call = |whole| {
            let mut call = self.redis.0.scripts.range.call(whole, &[&keys.order, &keys.rows]);
            call.arg(&from).arg(&to).arg(if backwards { "REV" } else { "" }).arg(i64::try_from(limit).unwrap_or(-1));
            call
        };
        self.run(call).await
    }

    /// Some rows in no order, and where to go on: 0 begins, and is the end. Rows that stay are found at least once.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn scan(
        &self,
        table: Table,
        cursor: u64,
        about: usize,
    ) -> Result<(u64, Vec<(Vec<u8>, Vec<u8>)>), RedisError> {
        self.ask(cmd("HSCAN").arg(&self.keys(table).rows).arg(cursor).arg("COUNT").arg(about)).await
    }

    /// Changes rows, all or none; of several changes of a row the last one counts. To repeat it does no harm.
    ///
    /// # Errors
    /// [`WriteError`]. Whatever a write that failed with [`WriteError::Redis`] did, is done before the next write of
    /// this epoch, or never.
    pub(crate) async fn write(&self, epoch: &mut Epoch, rows: &[Row]) -> Result<(), WriteError> {
        let mut sorted: Vec<&Row> = rows.iter().collect();
        // Stable: the last of equals is the last that was said.
        sorted.sort_by_key(|row| (row.table, &row.key));
        let followers = sorted.iter().skip(1).map(Some).chain([None]);
        let last_said = sorted.iter().zip(followers);
        let last_said =
            last_said.filter(|(row, next)| !next.is_some_and(|next| (row.table, &row.key) == (next.table, &next.key)));
        let rows: Vec<&Row> = last_said.map(|(row, _)| *row).collect();
        let mut changes = Changes::default();
        // Puts first: Redis refuses them when it has no memory left, but only as the first change of a script.
        for rows in rows.chunk_by(|one, other| one.table == other.table) {
            let Some(table) = rows.first().map(|row| row.table) else { continue };
            let keys = self.keys(table);
            let puts: Vec<_> = rows.iter().filter_map(|row| Some((&row.key[..], row.value.as_deref()?))).collect();
            for puts in puts.chunks(CHUNK) {
                changes.add(true, "HSET", &keys.rows, puts.iter().flat_map(|(key, value)| [*key, *value]).collect());
                if table.is_ordered() {
                    changes.add(true, "ZADD", &keys.order, puts.iter().flat_map(|(key, _)| [b"0", *key]).collect());
                }
            }
            let removed: Vec<_> = rows.iter().filter(|row| row.value.is_none()).map(|row| &row.key[..]).collect();
            for removed in removed.chunks(CHUNK) {
                changes.add(false, "HDEL", &keys.rows, removed.to_vec());
                if table.is_ordered() {
                    changes.add(false, "ZREM", &keys.order, removed.to_vec());
                }
            }
        }
        self.commit(epoch, &changes, 0).await
    }

    /// Leaves MTs for whoever holds the slot, which any node may do, in their order: all, or none if there would be more
    /// than `most`; then how many there are. To repeat it does no harm, whatever the holder has done meanwhile.
    ///
    /// # Errors
    /// [`RedisError`]; they may have been left all the same.
    pub(crate) async fn deposit(&self, deposits: &[Deposit], most: usize) -> Result<Result<(), u64>, RedisError> {
        let (kept, ids) = (self.keys(Table::Deposit), self.keys(Table::Id));
        let call = |whole| {
            let keys = [&*kept.order, &kept.rows, &ids.order, &ids.rows];
            let mut call = self.redis.0.scripts.deposit.call(whole, &keys);
            call.arg(most).arg(self.redis.bell()).arg(&self.named.name);
            for Deposit { key, value, id, place, alias } in deposits {
                call.arg(key).arg(value).arg(id).arg(place).arg(alias.as_deref().unwrap_or_default());
            }
            call
        };
        let many: Option<u64> = self.change(call).await?;
        Ok(many.map_or(Ok(()), Err))
    }

    /// Removes everything; Redis frees the memory in the background.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn delete(&self, epoch: &mut Epoch) -> Result<(), WriteError> {
        let mut changes = Changes::default();
        for keys in &self.named.tables {
            changes.add(false, "UNLINK", &keys.rows, Vec::new());
            changes.add(false, "UNLINK", &keys.order, Vec::new());
        }
        self.commit(epoch, &changes, REMEMBERED).await
    }

    async fn commit(&self, epoch: &mut Epoch, changes: &Changes<'_>, kept: u32) -> Result<(), WriteError> {
        let call = |whole| {
            // Each attempt has a number of its own: one before it may have been done, though its answer was lost.
            epoch.sequence += 1;
            let keys: Vec<&str> = [&*self.named.fence].into_iter().chain(changes.keys.iter().copied()).collect();
            let mut call = self.redis.0.scripts.write.call(whole, &keys);
            call.arg(epoch.number).arg(format!("{:x}", epoch.nonce)).arg(epoch.sequence).arg(&epoch.owner).arg(kept);
            for (command, key, arguments) in changes.puts.iter().chain(&changes.removals) {
                // The fence is key 1, as Lua counts.
                call.arg(*command).arg(key + 2).arg(arguments.len()).arg(arguments);
            }
            call
        };
        let fence: Option<String> = self.change(call).await?;
        let Some(fence) = fence else { return Ok(()) };
        let Fence { epoch, holder, .. } = Fence::read(fence);
        Err(WriteError::Fenced { slot: self.named.name.clone(), by: holder, epoch })
    }

    /// Who has it; `None` if nobody ever had.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn fence(&self) -> Result<Option<Fence>, RedisError> {
        let fence: Option<String> = self.ask(cmd("GET").arg(&self.named.fence)).await?;
        Ok(fence.map(Fence::read))
    }

    /// Sends what changes nothing, or may be forgotten, to whoever has the slot.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut attempts = Attempts { slot: self, left: ATTEMPTS };
        loop {
            let node = self.redis.0.router.node(self.named.hash_slot).await?;
            match node.ask(command).await {
                Ok(answer) => return Ok(answer),
                Err(error) => attempts.again(&node, error).await?,
            }
        }
    }

    /// The same for a script.
    pub(super) async fn run<T: FromRedisValue>(&self, call: impl Fn(bool) -> Cmd) -> Result<T, RedisError> {
        match self.ask(&call(false)).await {
            Err(error) if error.is_unknown_script() => self.ask(&call(true)).await,
            answer => answer,
        }
    }

    /// Runs a script that changes something, and waits until it counts. Each attempt is a call of its own.
    pub(super) async fn change<T: FromRedisValue>(&self, mut call: impl FnMut(bool) -> Cmd) -> Result<T, RedisError> {
        let mut attempts = Attempts { slot: self, left: ATTEMPTS };
        let mut whole = false;
        loop {
            let node = self.redis.0.router.node(self.named.hash_slot).await?;
            match self.change_at(&node, &call(whole)).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_unknown_script() && !whole => whole = true,
                Err(error) => attempts.again(&node, error).await?,
            }
        }
    }

    async fn change_at<T: FromRedisValue>(&self, node: &Arc<Node>, command: &Cmd) -> Result<T, RedisError> {
        let config = &self.redis.0.config;
        if config.replicas == 0 {
            return node.ask(command).await;
        }
        let mut both = redis::pipe();
        let wait = config.replica_timeout;
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        both.add_command(command.clone()).cmd("WAIT").arg(config.replicas).arg(milliseconds);
        both.ignore_errors();
        let refused = |error: redis::RedisError| {
            let error = RedisError::of(node.address(), &error);
            if error.breaks_connection() {
                node.forget_idle();
            }
            error
        };
        let mut answers = node.dedicated().await?.ask(&both, wait).await?.into_iter();
        let mut answer = || answers.next().unwrap_or(Ok(Value::Nil));
        let (done, had) = (answer().map_err(refused)?, answer().map_err(refused)?);
        let had: u32 = redis::from_redis_value(had).map_err(|error| refused(error.into()))?;
        if had < config.replicas {
            let (node, wanted) = (node.address().clone(), config.replicas);
            return Err(RedisError::Unreplicated { node, had, wanted, within: wait });
        }
        redis::from_redis_value(done).map_err(|error| refused(error.into()))
    }

    fn keys(&self, table: Table) -> &Keys {
        &self.named.tables[table as usize]
    }
}

/// Commands of a script.
#[derive(Default)]
struct Changes<'a> {
    keys: Vec<&'a str>,
    puts: Vec<Change<'a>>,
    removals: Vec<Change<'a>>,
}

/// A command, the index of its key, its arguments.
type Change<'a> = (&'static str, usize, Vec<&'a [u8]>);

impl<'a> Changes<'a> {
    fn add(&mut self, put: bool, command: &'static str, key: &'a str, arguments: Vec<&'a [u8]>) {
        let known = self.keys.iter().position(|known| *known == key);
        let index = known.unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        if put { &mut self.puts } else { &mut self.removals }.push((command, index, arguments));
    }
}

/// Sending something again.
struct Attempts<'a> {
    slot: &'a Slot,
    left: u32,
}

impl Attempts<'_> {
    /// Whether to: the error, if not.
    async fn again(&mut self, node: &Arc<Node>, error: RedisError) -> Result<(), RedisError> {
        self.left -= 1;
        let (router, slot) = (&self.slot.redis.0.router, self.slot.named.hash_slot);
        if router.reconsider(slot, node, &error).await && self.left > 0 { Ok(()) } else { Err(error) }
    }
}
