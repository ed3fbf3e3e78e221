//! Says which tenant is current, from one rule: every future, and every call that makes a
//! tenant current, has a stack of its own. There is no thread-local in here, and no key.

use std::collections::BTreeMap;

use super::counts::Counts;

/// An index into the tenants of the program.
pub type Who = usize;
pub type Guard = u64;
pub type Frame = u64;

/// The stack of one future or call.
struct Stack {
    /// The tenant that is current without an open guard, if any.
    base: Option<Who>,
    open: Vec<(Guard, Who)>,
    /// The thread that polled it last.
    thread: usize,
}

pub struct Model {
    stacks: BTreeMap<Frame, Stack>,
    /// What is being polled or called on each thread, from outside to inside. The first
    /// is the thread itself, where no tenant is ever current.
    running: Vec<Vec<Frame>>,
    /// On which thread everything happens at the moment.
    pub thread: usize,
    next: u64,
    /// The crossings that observers have to see.
    crossed: Vec<(Who, Who)>,
    pub counts: Counts,
}

impl Model {
    pub fn new(threads: usize) -> Self {
        let mut model = Self {
            stacks: BTreeMap::new(),
            running: Vec::new(),
            thread: 0,
            next: 0,
            crossed: Vec::new(),
            counts: Counts::default(),
        };
        for _ in 0..threads {
            let root = model.frame(None);
            model.running.push(vec![root]);
        }
        model
    }

    /// A new future or call, of this tenant or of none.
    pub fn frame(&mut self, base: Option<Who>) -> Frame {
        self.next += 1;
        let stack = Stack {
            base,
            open: Vec::new(),
            thread: self.thread,
        };
        self.stacks.insert(self.next, stack);
        self.next
    }

    pub fn current(&self) -> Option<Who> {
        let stack = &self.stacks[self.innermost()];
        stack.open.last().map(|(_, who)| *who).or(stack.base)
    }

    fn innermost(&self) -> &Frame {
        self.running[self.thread].last().expect("the thread itself")
    }

    /// What is polled outside every future and call has nowhere to keep a guard.
    pub fn is_outside(&self) -> bool {
        self.running[self.thread].len() == 1
    }

    /// A poll, a call or a drop begins.
    pub fn begin(&mut self, frame: Frame) {
        let from = self.current();
        let thread = self.thread;
        let stack = self.stacks.get_mut(&frame).expect("it lives");
        if stack.thread != thread {
            self.counts.left_behind += usize::from(!stack.open.is_empty());
            stack.open.clear();
            stack.thread = thread;
        }
        self.counts.restored += stack.open.len();
        self.counts.several += usize::from(stack.open.len() > 1);
        self.running[thread].push(frame);
        self.cross(from);
    }

    /// It ends, and will be polled again.
    pub fn leave(&mut self, frame: Frame) {
        assert_eq!(self.running[self.thread].pop(), Some(frame));
    }

    /// It ends for good.
    pub fn end(&mut self, frame: Frame) {
        self.leave(frame);
        let stack = self.stacks.remove(&frame).expect("it lived");
        self.counts.outlived += stack.open.len();
    }

    /// A guard is made, if it can be without crossing.
    pub fn enter(&mut self, who: Who) -> Option<Guard> {
        let may = self.current().is_none_or(|current| current == who);
        may.then(|| self.push(who))
    }

    /// A guard is made, whatever tenant is current.
    pub fn switch(&mut self, who: Who) -> Guard {
        let from = self.current();
        let guard = self.push(who);
        self.cross(from);
        guard
    }

    fn push(&mut self, who: Who) -> Guard {
        self.next += 1;
        let (guard, frame) = (self.next, *self.innermost());
        let stack = self.stacks.get_mut(&frame).expect("it runs");
        stack.open.push((guard, who));
        guard
    }

    /// A guard is dropped, wherever.
    pub fn drop(&mut self, guard: Guard) {
        let mut found = None;
        for (frame, stack) in &mut self.stacks {
            if let Some(at) = stack.open.iter().position(|(open, _)| *open == guard) {
                stack.open.remove(at);
                found = Some(*frame);
            }
        }
        let running = &self.running[self.thread];
        let count = match found {
            None => &mut self.counts.too_late,
            Some(frame) if running.last() == Some(&frame) => &mut self.counts.dropped,
            Some(frame) if running.contains(&frame) => &mut self.counts.dropped_outside,
            Some(_) => &mut self.counts.dropped_parked,
        };
        *count += 1;
    }

    fn cross(&mut self, from: Option<Who>) {
        if let (Some(from), Some(to)) = (from, self.current())
            && from != to
        {
            self.crossed.push((from, to));
        }
    }

    /// The crossings since the last call.
    pub fn crossed(&mut self) -> Vec<(Who, Who)> {
        std::mem::take(&mut self.crossed)
    }
}
