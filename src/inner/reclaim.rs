//! Emptying every thread's magazines from outside, in a gated pool.
//!
//! # Safety
//!
//! A block is taken out of a magazine while its owner is kept out of the gate, and is nobody else's then.

use super::{Locals, PoolInner};
use crate::depot::magazine::{Block, Magazines};
use crate::slab::size_class::CLASS_PLACES;
use crate::sync::MutexGuard;
use std::ptr::NonNull;

/// The owner of some magazines, inside its gate.
pub(crate) enum Inside<'a> {
    /// Nobody wants in.
    Entered(&'a Magazines),
    /// Somebody did, and is done: the lock keeps the next one out.
    Locked { _locals: MutexGuard<'a, Locals> },
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Self::Entered(magazines) = self {
            magazines.gate.leave();
        }
    }
}

impl PoolInner {
    /// Lets the owner of the magazines at them. Until what is returned is dropped it makes no system call and takes
    /// no lock but a class'.
    #[inline(always)]
    pub(crate) fn enter<'a>(&'a self, magazines: &'a Magazines) -> Inside<'a> {
        if magazines.gate.enter() {
            Inside::Entered(magazines)
        } else {
            Inside::Locked {
                _locals: self.locals(),
            }
        }
    }

    /// Puts every slot that lies in a thread's magazine or the depot's back into its slab, so that what is out of the slabs is
    /// with buffers. In a gated pool. Makes system calls.
    pub(crate) fn settle(&self) {
        self.reclaim();
        for class in 0..self.table.count() {
            self.give_slabs(class, self.depot.drain(class));
        }
    }

    /// Puts every slot that lies in a thread's magazine back into its slab.
    pub(super) fn reclaim(&self) {
        let mut lists = [const { None }; CLASS_PLACES];
        {
            let locals = self.locals();
            for magazines in locals.iter() {
                magazines.gate.claim();
                self.take_blocks(magazines, &mut lists);
                magazines.gate.release();
            }
        }
        for (class, list) in lists.iter_mut().enumerate() {
            while let Some(block) = *list {
                *list = Block::of(block).next();
                Block::of(block).set_next(None);
                self.flush(class, block);
                // SAFETY: allocated for a magazine, out of it now, and emptied.
                unsafe { Block::free(block) };
            }
        }
    }

    fn take_blocks(&self, magazines: &Magazines, lists: &mut [Option<NonNull<Block>>]) {
        for (class, list) in lists.iter_mut().enumerate().take(self.table.count()) {
            let magazine = magazines.get(class);
            // Blocks stay where nothing lies in them: the owner may be about to need them.
            if magazine.height() + magazine.previous_height() == 0 {
                continue;
            }
            for block in magazine.uninstall().into_iter().flatten() {
                Block::of(block).set_next(list.replace(block));
            }
        }
    }
}
