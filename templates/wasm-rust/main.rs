//! Answers with the body in capitals: the request comes on standard input, the response goes to standard output.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    let text = String::from_utf8_lossy(&body).to_uppercase();

    // Headers, an empty line and the body, as a CGI program answers. What is known of the request is in the environment.
    let mut output = io::stdout().lock();
    write!(output, "Content-Type: text/plain; charset=utf-8\n\n{text}")
}
