// A web server and its client, goroutines that count together, a signal and a timer: without a C library.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "[::1]:0")
	must(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.URL.Path)
	}))
	answer, err := http.Get("http://" + listener.Addr().String() + "/you")
	must(err)
	body, err := io.ReadAll(answer.Body)
	must(err)
	fmt.Println("http", answer.StatusCode, string(body))

	var count atomic.Int64
	var group sync.WaitGroup
	for range 1000 {
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Millisecond)
			count.Add(1)
		}()
	}
	group.Wait()
	fmt.Println("goroutines", count.Load())

	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	must(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println("signal", <-caught)

	output, err := exec.Command("/bin/busybox", "echo", "child").Output()
	must(err)
	fmt.Print("exec ", string(output))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
