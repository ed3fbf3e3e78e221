//! `tenancy resolve`: the answer to a request.

mod answer;
mod base64;
mod request;
mod tenants_file;

use std::io::{BufRead, BufReader, BufWriter, Write};

use serde::Serialize;
use tenancy::resolve::Resolver;

use crate::args::{Global, Resolve};
use crate::failure::Failure;
use crate::output::{Output, json};
use crate::project;
use answer::Answer;
use request::{Line, Request};

pub fn run(args: &Resolve, global: &Global, out: Output) -> Result<(), Failure> {
    let config = project::config(global)?;
    let project;
    let fixed;
    let resolver = match &args.tenants {
        Some(file) => {
            fixed = tenants_file::resolver(&config, file)?;
            &fixed
        }
        None => {
            project = project::open(&config)?;
            project.resolver()
        }
    };
    match &args.url {
        Some(url) => one(resolver, url, args, out),
        None => batch(resolver),
    }
}

/// The answer to one URL, with the explanation if it was requested.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    answer: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Vec<String>>,
}

fn one(resolver: &Resolver, url: &str, args: &Resolve, out: Output) -> Result<(), Failure> {
    let request = Request::from_url(url, &args.method, &args.headers).map_err(Failure::usage)?;
    let answer = answer(resolver, &request);
    let explanation = args.explain.then(|| {
        let explanation = request.ask(|head| resolver.explain(head).to_string());
        explanation.lines().map(str::to_owned).collect()
    });
    let refused = answer.is_refused();
    out.record(&Explained {
        answer,
        explanation,
    })?;
    if refused {
        Err(Failure::Answered)
    } else {
        Ok(())
    }
}

/// Prints the answers to the requests on stdin, line by line. A malformed line ends the command with
/// an error that has its number.
fn batch(resolver: &Resolver) -> Result<(), Failure> {
    let mut input = BufReader::new(std::io::stdin());
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let request = serde_json::from_slice::<Line>(&line)
            .map_err(|error| error.to_string())
            .and_then(Request::try_from);
        match request {
            Ok(request) => writeln!(out, "{}", json(&answer(resolver, &request))?)?,
            Err(problem) => {
                out.flush()?;
                return Err(Failure::usage(format!("stdin line {number}: {problem}")));
            }
        }
        // A caller may wait for each answer before it sends the next request, so the answer is
        // flushed when no further input is buffered.
        if input.buffer().is_empty() {
            out.flush()?;
        }
    }
    Ok(out.flush()?)
}

fn answer(resolver: &Resolver, request: &Request) -> Answer {
    request.ask(|head| Answer::from(resolver.resolve(head)))
}
