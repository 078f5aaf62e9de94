// A web server of the standard library alone. Quiver starts it with the first request.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer release()

	server := &http.Server{Addr: ":" + os.Getenv("PORT")}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from my-app, you asked for %s\n", r.URL.Path)
	})

	// Quiver asks with SIGTERM; requests in flight are answered first.
	ended := make(chan error, 1)
	go func() {
		<-stop.Done()
		ended <- server.Shutdown(context.Background())
	}()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}
