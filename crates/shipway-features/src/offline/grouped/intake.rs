//! Events dealt into shares by their key, as they come from the scan. Those of keys that the spine does not have are dropped.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Decimal128Type, UInt64Type},
};
use datafusion::execution::memory_pool::MemoryReservation;
use shipway_core::DataType;

use super::{
    super::{OfflineError, column::Column, events::EventColumns, keys::time_of, view_plan::ViewPlan},
    cells::Cells,
    directory::{Directory, NO_KEY, SHARES, local, share_of},
};

/// A chunk with so many events is closed, so that no share ever moves what it holds to make room.
const CHUNK_EVENTS: usize = 4_096;

/// A part of a share. All columns have one length.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Numbers of keys inside the share.
    pub(super) keys: Vec<u32>,
    pub(super) times: Vec<i64>,
    /// As the view's inputs, then the event ids where they decide something.
    pub(super) cells: Vec<Cells>,
    /// What of the memory's reservation is for this chunk.
    pub(super) reserved_bytes: usize,
}

impl Chunk {
    fn new(types: &[DataType]) -> Self {
        let cells = types.iter().map(|data_type| Cells::new(*data_type)).collect();
        Self { keys: Vec::new(), times: Vec::new(), cells, reserved_bytes: 0 }
    }

    fn bytes(&self) -> usize {
        let cells = self.cells.iter().map(|cells| cells.len() * size_of::<u64>() + cells.text_bytes());
        self.keys.len() * (size_of::<u32>() + size_of::<i64>()) + cells.sum::<usize>()
    }
}

/// The events of one partition of the scan.
pub(super) struct Intake {
    view: Arc<ViewPlan>,
    columns: EventColumns,
    directory: Arc<Directory>,
    memory: Arc<MemoryReservation>,
    types: Vec<DataType>,
    open: Vec<Chunk>,
    closed: Vec<Vec<Chunk>>,
    /// For each event of a batch that counts: its row in the batch and the number of its key.
    places: Vec<(u32, u32)>,
}

impl Intake {
    pub(super) fn new(
        view: Arc<ViewPlan>,
        columns: EventColumns,
        directory: Arc<Directory>,
        memory: Arc<MemoryReservation>,
    ) -> Self {
        let mut types: Vec<DataType> = view.inputs.iter().map(|(_, data_type)| *data_type).collect();
        types.extend(columns.event_id.map(|_| DataType::Text));
        let open = (0..SHARES).map(|_| Chunk::new(&types)).collect();
        let closed = (0..SHARES).map(|_| Vec::new()).collect();
        Self { view, columns, directory, memory, types, open, closed, places: Vec::new() }
    }

    /// Takes in a batch of encoded events; `false` when memory is short.
    pub(super) fn take_in(&mut self, batch: &RecordBatch) -> Result<bool, OfflineError> {
        let hashes = batch.column(0).as_primitive::<UInt64Type>().values();
        let keys = batch.column(self.columns.key).as_binary::<i32>();
        self.places.clear();
        for (row, hash) in (0_u32..).zip(hashes) {
            let id = self.directory.find(*hash, keys.value(row as usize));
            if id != NO_KEY {
                self.places.push((row, id));
            }
        }
        let orders = batch.column(self.columns.order).as_primitive::<Decimal128Type>().values();
        for (row, id) in &self.places {
            let chunk = &mut self.open[share_of(*id)];
            chunk.keys.push(local(*id));
            chunk.times.push(time_of(orders[*row as usize]));
        }
        let inputs = &batch.columns()[self.columns.first_input..];
        let mut read = Vec::with_capacity(self.types.len());
        for ((_, data_type), array) in self.view.inputs.iter().zip(inputs) {
            read.push(Column::read(array, *data_type)?);
        }
        if let Some(event_id) = self.columns.event_id {
            read.push(Column::read(batch.column(event_id), DataType::Text)?);
        }
        for (place, column) in read.iter().enumerate() {
            for (row, id) in &self.places {
                self.open[share_of(*id)].cells[place].push(column, *row as usize);
            }
        }
        Ok(self.close_full_chunks())
    }

    /// Accounts for what is held, and closes what is full.
    fn close_full_chunks(&mut self) -> bool {
        for (open, closed) in self.open.iter_mut().zip(&mut self.closed) {
            let bytes = open.bytes();
            if self.memory.try_grow(bytes.saturating_sub(open.reserved_bytes)).is_err() {
                return false;
            }
            open.reserved_bytes = bytes;
            let is_text_long = open.cells.iter().any(|cells| cells.text_bytes() > CHUNK_EVENTS * 64);
            if open.keys.len() >= CHUNK_EVENTS || is_text_long {
                closed.push(std::mem::replace(open, Chunk::new(&self.types)));
            }
        }
        true
    }

    /// The chunks of each share.
    pub(super) fn finish(mut self) -> Vec<Vec<Chunk>> {
        for (open, closed) in self.open.into_iter().zip(&mut self.closed) {
            if !open.keys.is_empty() {
                closed.push(open);
            }
        }
        self.closed
    }
}
