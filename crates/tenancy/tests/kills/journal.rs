//! What was acknowledged, on paper: a line before each operation and one after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One operation on one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Create,
    Write(String),
    Suspend,
    Resume,
    Retire,
    Revive,
    Destroy,
}

/// What a tenant must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Absent,
    Active,
    Suspended,
    Retired,
}

/// What is known of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub state: State,
    pub marks: BTreeSet<String>,
    /// Begun and not acknowledged: it may have happened, wholly or in part.
    pub doubt: Option<Op>,
    /// How often it was destroyed.
    pub lives: u64,
}

impl Known {
    /// After this was acknowledged.
    fn did(&mut self, op: &Op) {
        match op {
            Op::Create | Op::Resume | Op::Revive => self.state = State::Active,
            Op::Suspend => self.state = State::Suspended,
            Op::Retire => self.state = State::Retired,
            Op::Write(mark) => {
                self.marks.insert(mark.clone());
            }
            Op::Destroy => {
                let lives = self.lives + 1;
                *self = Self {
                    lives,
                    ..Self::default()
                };
            }
        }
        self.doubt = None;
    }
}

pub struct Journal {
    file: File,
    pub known: BTreeMap<String, Known>,
}

impl Journal {
    /// Where a root's journal is: beside it, as it is no part of it.
    fn path(root: &Path) -> PathBuf {
        root.join("journal")
    }

    pub fn open(root: &Path, ids: impl Iterator<Item = String>) -> Self {
        let path = Self::path(root);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut known: BTreeMap<_, Known> = ids.map(|id| (id, Known::default())).collect();
        // What was killed while it wrote a line leaves one without an end.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let words: Vec<_> = line.trim_end_matches('\n').split('\t').collect();
            let [sign, id, op, mark] = words[..] else {
                panic!("a line of {words:?}")
            };
            let tenant = known.get_mut(id).expect("one of the ids");
            let op = parse(op, mark);
            match sign {
                "+" => tenant.doubt = Some(op),
                "=" => tenant.did(&op),
                "-" => tenant.doubt = None,
                _ => panic!("no sign {sign:?}"),
            }
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("a journal");
        if !text.is_empty() && !text.ends_with('\n') {
            file.set_len(text.rfind('\n').map_or(0, |at| at as u64 + 1))
                .expect("a whole line");
            file.flush().expect("written");
        }
        Self { file, known }
    }

    pub fn begin(&mut self, id: &str, op: &Op) {
        self.line('+', id, op);
        self.tenant(id).doubt = Some(op.clone());
    }

    pub fn acknowledge(&mut self, id: &str, op: &Op) {
        self.line('=', id, op);
        self.tenant(id).did(op);
    }

    /// It is known not to have happened.
    pub fn undone(&mut self, id: &str, op: &Op) {
        self.line('-', id, op);
        self.tenant(id).doubt = None;
    }

    fn tenant(&mut self, id: &str) -> &mut Known {
        self.known.get_mut(id).expect("one of the ids")
    }

    /// One write a line: a kill cannot take back what the system has.
    fn line(&mut self, sign: char, id: &str, op: &Op) {
        let (word, mark) = match op {
            Op::Create => ("create", ""),
            Op::Write(mark) => ("write", &**mark),
            Op::Suspend => ("suspend", ""),
            Op::Resume => ("resume", ""),
            Op::Retire => ("retire", ""),
            Op::Revive => ("revive", ""),
            Op::Destroy => ("destroy", ""),
        };
        let line = format!("{sign}\t{id}\t{word}\t{mark}\n");
        self.file
            .write_all(line.as_bytes())
            .expect("a line of the journal");
    }
}

fn parse(word: &str, mark: &str) -> Op {
    match word {
        "create" => Op::Create,
        "write" => Op::Write(mark.to_owned()),
        "suspend" => Op::Suspend,
        "resume" => Op::Resume,
        "retire" => Op::Retire,
        "revive" => Op::Revive,
        "destroy" => Op::Destroy,
        _ => panic!("no operation {word:?}"),
    }
}
