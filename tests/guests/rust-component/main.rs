//! A filter with arguments and environment, of nothing but the standard library: a component of wasi:cli/command.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut counts = std::collections::BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0) += 1;
    }
    writeln!(io::stdout(), "{} {counts:?} {words:?}", text.trim().to_uppercase())
}
