// Answers with the body in capitals: the request comes on standard input, the response goes to standard output.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"os"
)

func main() {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	// Headers, an empty line and the body, as a CGI program answers. What is known of the request is in the environment.
	fmt.Printf("Content-Type: text/plain; charset=utf-8\n\n%s", bytes.ToUpper(body))
}
