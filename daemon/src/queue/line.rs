//! Requests that a rule has put into another order. They are let go one after the other, each when the one
//! before it is answered: the order is that of the medium as well, whatever the backing does.

use std::collections::VecDeque;

use super::{QueueError, QueueLoop};
use crate::parked::{Next, Wait};

/// A queue's line.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Wait>,
    /// The tag of the one that was let go and is not answered.
    first: Option<u16>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.first.is_none()
    }

    /// Takes the next one out, in order, whether or not it is its turn.
    pub(super) fn leave(&mut self) -> Option<Wait> {
        self.waiting.pop_front()
    }

    /// One was answered.
    pub(super) fn answered(&mut self, tag: u16) {
        if self.first == Some(tag) {
            self.first = None;
        }
    }
}

impl QueueLoop {
    /// Lets those that waited for each other go, in their new order.
    pub(super) fn let_group_go(&mut self, mut group: Vec<Wait>) {
        // The draw of the first one counts, and they are in the order in which they came.
        let draw = group
            .first()
            .and_then(|wait| wait.order)
            .map_or(0, |order| order.draw);
        let order = fault::permutation(draw, group.len());
        let mut left: Vec<Option<Wait>> = group.drain(..).map(Some).collect();
        for place in order {
            if let Some(wait) = left.get_mut(place).and_then(Option::take) {
                self.line.waiting.push_back(wait);
            }
        }
        // A permutation leaves none.
        self.line.waiting.extend(left.into_iter().flatten());
    }

    /// Lets the next one go if the one before it has been answered.
    #[inline]
    pub(super) fn next_in_line(&mut self) -> Result<(), QueueError> {
        while self.line.first.is_none() {
            let Some(wait) = self.line.leave() else {
                return Ok(());
            };
            self.line.first = Some(wait.request.tag());
            self.unpark(wait, Next::Serve)?;
        }
        Ok(())
    }
}
