//! The changes of a folder, as the monitor reads them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ima_proto::imrp::{Change, Fault};

use super::line::Line;
use crate::packets::{Reply, Request};

/// One journal that is open there.
pub struct Journal {
    line: Rc<RefCell<Line>>,
    number: u32,
    piece: VecDeque<Change>,
    /// Whether there is nothing behind the piece.
    is_over: bool,
}

impl Journal {
    pub fn new(line: Rc<RefCell<Line>>, number: u32) -> Self {
        Self {
            line,
            number,
            piece: VecDeque::new(),
            is_over: false,
        }
    }

    fn more(&mut self) -> Result<(), Fault> {
        let answer = self.line.borrow_mut().ask(&Request::More(self.number));
        let Ok((Reply::Piece(changes, is_last), _)) = answer else {
            self.is_over = true;
            return Err(Fault);
        };
        self.piece = changes.into();
        self.is_over = is_last;
        Ok(())
    }
}

impl Iterator for Journal {
    type Item = Result<Change, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.piece.is_empty() && !self.is_over {
            if let Err(fault) = self.more() {
                return Some(Err(fault));
            }
        }
        self.piece.pop_front().map(Ok)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.is_over {
            // Where that fails it is over as well.
            let _ = self.line.borrow_mut().ask(&Request::Enough(self.number));
        }
    }
}
